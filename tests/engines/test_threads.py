"""Work spread over threads: order, faults and bounds."""

import threading

import pytest
from threadpoolctl import threadpool_info

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.threads import bounded, mapped, n_threads


def test_results_keep_the_order_of_the_blocks():
    first_may_go = threading.Event()

    def squared(number):
        if number == 0:
            assert first_may_go.wait(10)
        first_may_go.set()
        return number**2

    with bounded(2):
        assert mapped(squared, range(5)) == [0, 1, 4, 9, 16]


def test_what_a_block_raises_is_raised_to_the_caller():
    def inverse(number):
        return 1 / number

    with bounded(2), pytest.raises(ZeroDivisionError):
        mapped(inverse, [2, 0, 1])


@pytest.mark.parametrize(("n", "blocks"), [(1, 3), (4, 1), (4, 0)])
def test_a_single_thread_or_block_stays_with_the_caller(n, blocks):
    with bounded(n):
        assert mapped(lambda _: threading.get_ident(), range(blocks)) == [threading.get_ident()] * blocks


def test_blocks_within_blocks_open_no_further_threads():
    with bounded(2):
        homes = mapped(lambda _: (threading.get_ident(), mapped(lambda _: threading.get_ident(), range(3))), range(4))
    assert all(set(inner) == {home} for home, inner in homes)


def test_the_bound_ends_where_it_was_set():
    before, pools = n_threads(), _blas_threads()
    with bounded(3):
        assert n_threads() == 3
        assert set(_blas_threads()) == {1}
        with bounded(1):
            assert n_threads() == 1
        assert n_threads() == 3
    assert n_threads() == before >= 1
    assert _blas_threads() == pools


def test_fewer_than_no_threads_are_refused():
    with pytest.raises(ParameterOutOfRange, match="-1 threads"), bounded(-1):
        pass


def _blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
