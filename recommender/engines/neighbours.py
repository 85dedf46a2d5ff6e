"""The kernels of `user_based`: who is nearest in taste, and what they vote for.

Serial and for a few listeners at a time; only what a listener shares with somebody is looked at.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from recommender.engines.compressed import Compressed
from recommender.engines.tables import Floats, Rows

Singles = NDArray[np.float32]
Marks = NDArray[np.bool_]

TOP_N, UNIFORM, DISTRIBUTION = range(3)  # how neighbours are chosen
NOBODY = np.iinfo(np.int64).max  # an empty place in a list: it loses every tie


@njit(nogil=True, cache=True)
def nearest(
    own: Compressed,
    itself: Rows,
    own_centroids: Singles,
    by_song: Compressed,
    centroids: Singles,
    share: float,
    candidates: Marks,
    sampling: int,
    seed: int,
    listener_rows: Rows,
    n: int,
) -> tuple[Rows, Floats]:
    """The n members nearest to each of some listeners, in the order of members.

    Likeness is the product of the listener's and the member's vectors over songs times 1 + share x the product of their
    centroids. Members of a likeness above 0 are chosen from the candidates, or from everybody where none of the
    candidates has any.

    own : listeners' vectors (m, n_songs). itself : int64 (m,), the member each listener is, -1 for none.
    own_centroids : float32 (m, d). by_song : members' vectors by song (n_songs, n_members).
    centroids : float32 (n_members, d). share : 0..1. candidates : bool (n_members,).
    sampling : TOP_N; UNIFORM draws any alike, DISTRIBUTION in proportion to likeness, without replacement, by chance of
        `seed` and of the listener's row, int64 (m,).
    Returns members int64 (m, n), padded with `NOBODY`, and their likeness float64 (m, n), padded with 0.
    """
    m, n_members = len(itself), len(candidates)
    found = np.full((m, n), NOBODY)
    likenesses = np.zeros((m, n))
    together = np.zeros(n_members)
    keys = np.empty(n)
    for row in range(m):
        _add_up(own, row, by_song, together)
        if itself[row] >= 0:
            together[itself[row]] = 0.0
        restricted = np.any((together > 0.0) & candidates)
        listed = found[row]
        keys[:] = -np.inf
        for member in range(n_members):
            if together[member] <= 0.0 or (restricted and not candidates[member]):
                continue
            clock = 0.0 if sampling == TOP_N else _clock(seed, listener_rows[row], member)
            # Centroids are compared only of those whom the best of likenesses would bring in.
            if _key(together[member] * (1.0 + share), sampling, clock) <= keys[0]:
                continue
            likeness = together[member] * (1.0 + share * _product(own_centroids[row], centroids[member]))
            key = _key(likeness, sampling, clock)
            if likeness > 0.0 and key > keys[0]:
                _replace_root(keys, listed, key, member)
        listed.sort()
        for place in range(n):
            member = listed[place]
            if member == NOBODY:
                break
            likenesses[row, place] = together[member] * (1.0 + share * _product(own_centroids[row], centroids[member]))
        together[:] = 0.0
    return found, likenesses


@njit(nogil=True, cache=True)
def vote(found: Rows, likenesses: Floats, members: Compressed, scores: Floats) -> None:
    """Fill scores float64 (m, n_songs): of each song sum(likeness x its part of the member's vector) / sum(likeness)
    over the members found, as `nearest` gives them; NaN where none of them has it."""
    for row in range(len(found)):
        votes = scores[row]
        votes[:] = 0.0
        total = 0.0
        for place in range(found.shape[1]):
            member, likeness = found[row, place], likenesses[row, place]
            if member == NOBODY:
                break
            total += likeness
            for entry in range(members.starts[member], members.starts[member + 1]):
                votes[members.places[entry]] += likeness * members.values[entry]
        for song in range(len(votes)):
            votes[song] = votes[song] / total if votes[song] > 0.0 else np.nan


@njit(nogil=True, cache=True)
def _add_up(own: Compressed, row: int, by_song: Compressed, together: Floats) -> None:
    """Add to `together` the product of one listener's vector with each member's."""
    for entry in range(own.starts[row], own.starts[row + 1]):
        song, value = own.places[entry], own.values[entry]
        for other in range(by_song.starts[song], by_song.starts[song + 1]):
            together[by_song.places[other]] += value * by_song.values[other]


# The order of a sum is left to the compiler ("reassoc", "contract"), which is what makes it wide.
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _product(one: Singles, other: Singles) -> float:
    product = np.float32(0.0)
    for axis in range(len(one)):
        product += one[axis] * other[axis]
    return min(1.0, max(-1.0, float(product)))


@njit(nogil=True, cache=True)
def _key(likeness: float, sampling: int, clock: float) -> float:
    """By what a member is listed; as in `ranking.drawn`, of clocks with these rates the first to ring."""
    if sampling == TOP_N:
        return likeness
    rate = 1.0 if sampling == UNIFORM else likeness
    return rate / (rate + clock)


@njit(nogil=True, cache=True)
def _clock(seed: int, listener_row: int, member: int) -> float:
    """A standard exponential of this pair's own, so that a batch draws as one by one.

    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014) of the three in turn.
    """
    mixed = _mixed(_mixed(_mixed(np.uint64(seed)) + np.uint64(listener_row)) + np.uint64(member))
    return float(-np.log((np.float64(mixed >> np.uint64(11)) + 0.5) * 2.0**-53))


@njit(nogil=True, cache=True)
def _mixed(number: np.uint64) -> np.uint64:
    number += np.uint64(0x9E3779B97F4A7C15)
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


@njit(nogil=True, cache=True)
def _replace_root(keys: Floats, members: Rows, key: float, member: int) -> None:
    """Put an entry in the place of the worst of a heap, which has it at its root, and the new worst there.

    Of two that tie the higher member is the worse.
    """
    place, child = 0, 1
    while child < len(keys):
        if child + 1 < len(keys) and _worse(keys[child + 1], members[child + 1], keys[child], members[child]):
            child += 1
        if not _worse(keys[child], members[child], key, member):
            break
        keys[place], members[place] = keys[child], members[child]
        place, child = child, 2 * child + 1
    keys[place], members[place] = key, member


@njit(nogil=True, cache=True)
def _worse(key: float, member: int, other_key: float, other_member: int) -> bool:
    return key < other_key or (key == other_key and member > other_member)
