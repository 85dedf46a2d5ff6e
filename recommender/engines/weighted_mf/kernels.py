"""The arithmetic of `wals` for a block of rows: serial, free of the interpreter's lock, single precision.

Numba by itself keeps no vector in a register across a loop over arrays, which costs three to five times in the
inner loops here. So this module teaches it one type, a vector of 16 floats, and the few operations the kernels need;
each is one instruction of LLVM, which makes of it whatever the machine has (one register of AVX-512, four of NEON).
All of it stands in this one file, since by its date numba knows whether what it compiled before is still true.

Notation: a row's unknowns are its `width` factors (K, padded with zeros to a multiple of 16) and, at place `width`,
its bias; an array of unknowns is LANES longer than `width`. The system of a row is

    A = gram + sum_e s_e [f_e, one] [f_e, one]^T + penalty diag(1, .., 1, share),  right = pull + sum_e t_e [f_e, one]

over its observed entries e, f_e being the factors of the entry's column and `one` 1 where rows have a bias, else 0.
With W and X of the entry and the column's offset o: s_e = W - w0, t_e = W (X - o) + w0 o.
"""

# The builders of operations are numba's, which types neither them nor what decorates them.
# mypy: disable-error-code="untyped-decorator,no-untyped-call"

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped] # the package has no types
from numba import extending, njit, types
from numba.core import cgutils
from numba.extending import models, register_model
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Starts = NDArray[np.int64]
Columns = NDArray[np.int32]

LANES = 16
ALIGNMENT = 64  # bytes: a vector that lies across two lines of the cache is loaded twice
CHUNK = 128  # entries whose columns stay in the first-level cache while their products are summed
RESOLUTION = np.float32(1e-6)  # a pivot below this part of its diagonal is rounding
NOTHING = np.float32(1e-15)  # a factor below this is 0; products of such numbers are denormal, and slow
ZERO = np.float32(0.0)
ONE = np.float32(1.0)

intrinsic: Any = extending.intrinsic  # typed as what builds an operation, not as the operation

FLOAT, PLACE = ir.FloatType(), ir.IntType(32)
LANED = ir.VectorType(FLOAT, LANES)
UNSET = ir.Constant(LANED, ir.Undefined)


class Vector(types.Type):
    """16 floats that are worked on at once."""

    def __init__(self) -> None:
        super().__init__(name="Vector")


vector = Vector()
tile = types.UniTuple(vector, LANES)


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is what LLVM calls one."""

    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, LANED)


def _at(context: Any, builder: Any, array_type: Any, array: Any, place: Any) -> Any:
    """Pointer to the number at `place`."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [place])


def _splat(builder: Any, number: Any) -> Any:
    first = builder.insert_element(UNSET, number, PLACE(0))
    return builder.shuffle_vector(first, UNSET, ir.Constant(ir.VectorType(PLACE, LANES), None))


def _fma(builder: Any, factor: Any, other: Any, summand: Any) -> Any:
    fused = cgutils.get_or_insert_function(builder.module, ir.FunctionType(LANED, [LANED] * 3), "llvm.fma.v16f32")
    return builder.call(fused, [factor, other, summand])


@intrinsic
def load(typing: Any, array: Any, place: Any) -> Any:
    """array[place : place + 16]"""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _at(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(pointer, LANED.as_pointer()), align=4)

    return vector(array, types.intp), build


@intrinsic
def store(typing: Any, array: Any, place: Any, value: Any) -> Any:
    """array[place : place + 16] = value"""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _at(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], builder.bitcast(pointer, LANED.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), build


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """The number in all lanes."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return vector(types.float32), build


@intrinsic
def plus(typing: Any, a: Any, b: Any) -> Any:
    """a + b"""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args)

    return vector(vector, vector), build


@intrinsic
def minus(typing: Any, a: Any, b: Any) -> Any:
    """a - b"""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fsub(*args)

    return vector(vector, vector), build


@intrinsic
def times(typing: Any, a: Any, b: Any) -> Any:
    """a b"""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fmul(*args)

    return vector(vector, vector), build


@intrinsic
def plus_product(typing: Any, summand: Any, a: Any, b: Any) -> Any:
    """summand + a b"""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _fma(builder, args[1], args[2], args[0])

    return vector(vector, vector, vector), build


@intrinsic
def less_product(typing: Any, summand: Any, a: Any, b: Any) -> Any:
    """summand - a b"""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _fma(builder, builder.fneg(args[1]), args[2], args[0])

    return vector(vector, vector, vector), build


@intrinsic
def total(typing: Any, value: Any) -> Any:
    """The sum over the lanes."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(FLOAT, [FLOAT, LANED])
        summed = cgutils.get_or_insert_function(builder.module, kind, "llvm.vector.reduce.fadd.v16f32")
        return builder.call(summed, [FLOAT(0.0), args[0]], fastmath=("reassoc",))

    return types.float32(vector), build


@intrinsic
def empty_tile(typing: Any) -> Any:
    """16 vectors of zeros: a 16 x 16 block of a matrix, in registers."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_tuple(builder, signature.return_type, [ir.Constant(LANED, None)] * LANES)

    return tile(), build


@intrinsic
def plus_outer(typing: Any, sums: Any, array: Any, place: Any, right: Any) -> Any:
    """The tile plus the outer product of array[place : place + 16] and the vector `right`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left = _at(context, builder, signature.args[1], *args[1:3])
        numbers = (builder.load(builder.gep(left, [PLACE(row)])) for row in range(LANES))
        rows = [
            _fma(builder, _splat(builder, number), args[3], builder.extract_value(args[0], row))
            for row, number in enumerate(numbers)
        ]
        return context.make_tuple(builder, signature.return_type, rows)

    return tile(tile, array, types.intp, vector), build


@intrinsic
def add_tile(typing: Any, array: Any, place: Any, stride: Any, sums: Any) -> Any:
    """Add the tile to the block of a matrix that begins at `place`, its rows being `stride` apart."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = args[1]
        for row in range(LANES):
            pointer = builder.bitcast(_at(context, builder, signature.args[0], args[0], place), LANED.as_pointer())
            summed = builder.fadd(builder.load(pointer, align=4), builder.extract_value(args[3], row))
            builder.store(summed, pointer, align=4)
            place = builder.add(place, args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, tile), build


@njit(nogil=True, cache=True)
def aligned(n: int) -> Singles:
    """float32 (n,), not set, whose first number begins a line of the cache."""
    room = np.empty(n + ALIGNMENT // 4, dtype=np.float32)
    skipped = (-room.ctypes.data % ALIGNMENT) // 4
    return room[skipped : skipped + n]


@njit(nogil=True, cache=True)
def read_entries(
    columns: Columns,
    values: Singles,
    weights: Singles,
    start: int,
    stop: int,
    w0: np.float32,
    offsets: Singles,
    width: int,
    places: Starts,
    surplus: Singles,
    target: Singles,
) -> None:
    """Write into `places` where the factors of each entry's column begin, s_e into `surplus`, t_e into `target`."""
    for e in range(start, stop):
        offset = offsets[columns[e]]
        places[e - start] = columns[e] * width
        surplus[e - start] = weights[e] - w0
        target[e - start] = weights[e] * (values[e] - offset) + w0 * offset


@njit(nogil=True, cache=True)
def add_sums(
    factors: Singles,
    width: int,
    places: Starts,
    n: int,
    one: np.float32,
    surplus: Singles,
    target: Singles,
    border: Singles,
    right: Singles,
) -> None:
    """border += sum_e s_e [f_e, one], right += sum_e t_e [f_e, one]."""
    for k in range(0, width, LANES):
        bordering, pulling = load(border, k), load(right, k)
        for e in range(n):
            f = load(factors, places[e] + k)
            bordering = plus_product(bordering, f, splat(one * surplus[e]))
            pulling = plus_product(pulling, f, splat(target[e]))
        store(border, k, bordering)
        store(right, k, pulling)
    for e in range(n):
        border[width] += one * surplus[e]
        right[width] += one * target[e]


@njit(nogil=True, cache=True)
def add_outer_products(
    factors: Singles, width: int, places: Starts, n: int, surplus: Singles, A: Singles, stride: int
) -> None:
    """A += sum_e s_e f_e f_e^T, in the blocks on and below the diagonal."""
    for i in range(0, width, LANES):
        for j in range(0, i + 1, LANES):
            sums = empty_tile()
            for e in range(n):
                place = places[e]
                sums = plus_outer(sums, factors, place + i, times(load(factors, place + j), splat(surplus[e])))
            add_tile(A, i * stride + j, stride, sums)


@njit(nogil=True, cache=True)
def interleave(
    systems: Singles,
    rights: Singles,
    width: int,
    n_factors: int,
    penalties: Singles,
    share: np.float32,
    packed: Singles,
    solution: Singles,
) -> None:
    """Lay 16 systems beside each other, lane by lane: their lower rows one after the other, without the padding."""
    stride = width + LANES
    size = (width + 1) * stride
    place = 0
    for i in range(n_factors + 1):
        row = i if i < n_factors else width
        for j in range(i + 1):
            start = row * stride + (j if j < n_factors else width)
            for lane in range(LANES):
                packed[place + lane] = systems[lane * size + start]
            place += LANES
        for lane in range(LANES):
            packed[place - LANES + lane] += penalties[lane] * (ONE if i < n_factors else share)
            solution[i * LANES + lane] = rights[lane * stride + row]


@njit(nogil=True, cache=True, error_model="numpy")
def factorise(L: Singles, inverses: Singles, d: int) -> None:
    """The Cholesky factors of 16 packed matrices, in place, and the inverses of their diagonals."""
    for i in range(d):
        row = i * (i + 1) // 2 * LANES
        for j in range(i):
            other = j * (j + 1) // 2 * LANES
            left = load(L, row + j * LANES)
            for k in range(0, j * LANES, LANES):
                left = less_product(left, load(L, row + k), load(L, other + k))
            store(L, row + j * LANES, times(left, load(inverses, j * LANES)))
        pivot = load(L, row + i * LANES)
        for k in range(0, i * LANES, LANES):
            pivot = less_product(pivot, load(L, row + k), load(L, row + k))
        store(inverses, i * LANES, pivot)
        for lane in range(i * LANES, (i + 1) * LANES):
            least = RESOLUTION * L[row + lane]
            inverses[lane] = ONE / np.sqrt(least if inverses[lane] < least else inverses[lane])


@njit(nogil=True, cache=True)
def substitute(L: Singles, inverses: Singles, d: int, solution: Singles) -> None:
    """Solve 16 factorised systems, in place of their right-hand sides."""
    for i in range(d):
        row = i * (i + 1) // 2 * LANES
        left = load(solution, i * LANES)
        for k in range(0, i * LANES, LANES):
            left = less_product(left, load(L, row + k), load(solution, k))
        store(solution, i * LANES, times(left, load(inverses, i * LANES)))
    for i in range(d - 1, -1, -1):
        row = i * (i + 1) // 2 * LANES
        solved = times(load(solution, i * LANES), load(inverses, i * LANES))
        store(solution, i * LANES, solved)
        for k in range(0, i * LANES, LANES):
            store(solution, k, less_product(load(solution, k), load(L, row + k), solved))


@njit(nogil=True, cache=True)
def kept(number: np.float32) -> np.float32:
    """The number, or 0 where it is next to nothing."""
    return ZERO if abs(number) < NOTHING else number


@njit(nogil=True, cache=True)
def solve_exactly(
    indptr: Starts,
    columns: Columns,
    values: Singles,
    weights: Singles,
    w0: np.float32,
    factors: Singles,
    offsets: Singles,
    gram: Singles,
    pull: Singles,
    penalties: Singles,
    share: np.float32,
    one: np.float32,
    solved: Singles,
    biases: Singles,
) -> None:
    """Each row's solution by Cholesky, 16 rows at once; the systems are built row by row."""
    n_factors = solved.shape[1]
    width = len(pull) - LANES
    stride = len(pull)
    size = (width + 1) * stride
    d = n_factors + 1
    systems, rights = aligned(LANES * size), aligned(LANES * stride)
    packed, solution, inverses = aligned(d * (d + 1) // 2 * LANES), aligned(d * LANES), aligned(d * LANES)
    places, surplus, target = np.empty(CHUNK, dtype=np.int64), aligned(CHUNK), aligned(CHUNK)
    damping = aligned(LANES)
    systems[:] = ZERO
    for first in range(0, len(solved), LANES):
        last = min(first + LANES, len(solved))
        damping[:] = ONE  # the lanes that are left over solve something, too
        for i in range(first, last):
            A = systems[(i - first) * size : (i - first + 1) * size]
            right = rights[(i - first) * stride : (i - first + 1) * stride]
            A[:], right[:] = gram, pull
            damping[i - first] = penalties[i]
            for start in range(indptr[i], indptr[i + 1], CHUNK):
                stop = min(start + CHUNK, indptr[i + 1])
                read_entries(columns, values, weights, start, stop, w0, offsets, width, places, surplus, target)
                add_sums(factors, width, places, stop - start, one, surplus, target, A[width * stride :], right)
                add_outer_products(factors, width, places, stop - start, surplus, A, stride)
        interleave(systems, rights, width, n_factors, damping, share, packed, solution)
        factorise(packed, inverses, d)
        substitute(packed, inverses, d, solution)
        for i in range(first, last):
            for k in range(n_factors):
                solved[i, k] = kept(solution[k * LANES + i - first])
            biases[i] = kept(solution[n_factors * LANES + i - first])


@njit(nogil=True, cache=True)
def add_pulled(
    factors: Singles,
    width: int,
    places: Starts,
    n: int,
    one: np.float32,
    surplus: Singles,
    target: Singles,
    share_of_target: np.float32,
    p: Singles,
    result: Singles,
) -> None:
    """result += sum_e (t_e - s_e [f_e, one] . p) [f_e, one], t_e being taken `share_of_target` times."""
    bias = one * p[width]
    gained = ZERO
    for e in range(0, n - 3, 4):  # four at a time: each load of p and of the result serves them all
        a, b, c, d = places[e], places[e + 1], places[e + 2], places[e + 3]
        dot_a = dot_b = dot_c = dot_d = splat(ZERO)
        for k in range(0, width, LANES):
            q = load(p, k)
            dot_a = plus_product(dot_a, load(factors, a + k), q)
            dot_b = plus_product(dot_b, load(factors, b + k), q)
            dot_c = plus_product(dot_c, load(factors, c + k), q)
            dot_d = plus_product(dot_d, load(factors, d + k), q)
        pull_a = share_of_target * target[e] - surplus[e] * (total(dot_a) + bias)
        pull_b = share_of_target * target[e + 1] - surplus[e + 1] * (total(dot_b) + bias)
        pull_c = share_of_target * target[e + 2] - surplus[e + 2] * (total(dot_c) + bias)
        pull_d = share_of_target * target[e + 3] - surplus[e + 3] * (total(dot_d) + bias)
        gained += (pull_a + pull_b) + (pull_c + pull_d)
        for k in range(0, width, LANES):
            summed = plus_product(load(result, k), load(factors, a + k), splat(pull_a))
            summed = plus_product(summed, load(factors, b + k), splat(pull_b))
            summed = plus_product(summed, load(factors, c + k), splat(pull_c))
            store(result, k, plus_product(summed, load(factors, d + k), splat(pull_d)))
    for e in range(n - n % 4, n):
        a = places[e]
        dot_a = splat(ZERO)
        for k in range(0, width, LANES):
            dot_a = plus_product(dot_a, load(factors, a + k), load(p, k))
        pull_a = share_of_target * target[e] - surplus[e] * (total(dot_a) + bias)
        gained += pull_a
        for k in range(0, width, LANES):
            store(result, k, plus_product(load(result, k), load(factors, a + k), splat(pull_a)))
    result[width] += one * gained


@njit(nogil=True, cache=True)
def take_shared(gram: Singles, penalty: np.float32, share: np.float32, p: Singles, result: Singles) -> None:
    """result -= (gram + penalty diag(1, .., 1, share)) p."""
    stride = len(p)
    width = stride - LANES
    bias = splat(p[width])
    for j in range(0, width, LANES):
        # Four sums, since each of their summands waits for the one before.
        first = less_product(load(result, j), load(p, j), splat(penalty))
        second = times(load(gram, width * stride + j), bias)
        third = fourth = splat(ZERO)
        for i in range(0, width, 4):
            place = i * stride + j
            first = less_product(first, load(gram, place), splat(p[i]))
            second = plus_product(second, load(gram, place + stride), splat(p[i + 1]))
            third = less_product(third, load(gram, place + 2 * stride), splat(p[i + 2]))
            fourth = plus_product(fourth, load(gram, place + 3 * stride), splat(p[i + 3]))
        store(result, j, minus(plus(first, third), plus(second, fourth)))
    border = splat(ZERO)
    for j in range(0, stride, LANES):
        border = plus_product(border, load(gram, width * stride + j), load(p, j))
    result[width] -= total(border) + share * penalty * p[width]


@njit(nogil=True, cache=True)
def dot(a: Singles, b: Singles) -> np.float32:
    """a . b"""
    sums = splat(ZERO)
    for k in range(0, len(a), LANES):
        sums = plus_product(sums, load(a, k), load(b, k))
    summed: np.float32 = total(sums)
    return summed


@njit(nogil=True, cache=True)
def solve_by_gradients(
    indptr: Starts,
    columns: Columns,
    values: Singles,
    weights: Singles,
    w0: np.float32,
    factors: Singles,
    offsets: Singles,
    gram: Singles,
    pull: Singles,
    penalties: Singles,
    share: np.float32,
    one: np.float32,
    solved: Singles,
    biases: Singles,
    n_steps: int,
) -> None:
    """Each row's solution by `n_steps` conjugate gradients, begun where `solved` and `biases` stand."""
    n_factors = solved.shape[1]
    stride = len(pull)
    width = stride - LANES
    longest = 0
    for i in range(len(solved)):
        longest = max(longest, indptr[i + 1] - indptr[i])
    places, surplus, target = np.empty(longest, dtype=np.int64), aligned(longest), aligned(longest)
    x, residual, p, q = aligned(stride), aligned(stride), aligned(stride), aligned(stride)
    for i in range(len(solved)):
        # No slice of what other threads read: counting who holds it would make them wait for each other.
        n = indptr[i + 1] - indptr[i]
        read_entries(columns, values, weights, indptr[i], indptr[i + 1], w0, offsets, width, places, surplus, target)
        x[:] = ZERO
        for k in range(n_factors):
            x[k] = solved[i, k]
        x[width] = biases[i]
        for k in range(stride):
            residual[k] = pull[k]
        take_shared(gram, penalties[i], share, x, residual)
        add_pulled(factors, width, places, n, one, surplus, target, ONE, x, residual)
        p[:] = residual
        left = dot(residual, residual)
        for _ in range(n_steps):
            if left <= NOTHING:
                break
            q[:] = ZERO  # becomes -A p
            take_shared(gram, penalties[i], share, p, q)
            add_pulled(factors, width, places, n, one, surplus, target, ZERO, p, q)
            step = -left / dot(p, q)
            for k in range(stride):
                x[k] += step * p[k]
                residual[k] += step * q[k]
            before, left = left, dot(residual, residual)
            for k in range(stride):
                p[k] = residual[k] + left / before * p[k]
        for k in range(n_factors):
            solved[i, k] = kept(x[k])
        biases[i] = kept(x[width])


@njit(nogil=True, cache=True)
def errors(
    indptr: Starts,
    columns: Columns,
    values: Singles,
    weights: Singles,
    w0: float,
    mean: float,
    factors: Singles,
    biases: Singles,
    partners: Singles,
    partner_biases: Singles,
) -> float:
    """sum_e W (X - P)^2 - w0 P^2 over the observed entries of these rows, P being the prediction; summed in double."""
    summed = 0.0
    for i in range(len(factors)):
        for e in range(indptr[i], indptr[i + 1]):
            predicted = mean + biases[i] + partner_biases[columns[e]]
            for k in range(factors.shape[1]):
                predicted += np.float64(factors[i, k]) * partners[columns[e], k]
            summed += weights[e] * (values[e] - predicted) ** 2 - w0 * predicted**2
    return summed
