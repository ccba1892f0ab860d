"""What the CPU computes tile by tile gives what the reference gives, on one thread or several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from checks import compare

import gpunn
from gpunn.backends import cpu, type2backend
from gpunn.backends.base import Backend
from gpunn.backends.host import activation, normalization, optimizer, softmax, threads

HOST, REFERENCE = type2backend[np.ndarray], Backend(np)
RNG = np.random.default_rng(0)
# Operations run so, and a few of the cases overflow.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
DTYPES = ["float16", "float32", "float64"]


@pytest.fixture(autouse=True, params=[1, 2])
def jobs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Small tiles, so that small arrays have many; the list gets each job's number of tiles."""
    before = gpunn.get_num_threads()
    gpunn.set_num_threads(request.param)
    counts: list[int] = []

    real = threads.tiled

    @functools.wraps(real)
    def tiled(work: Callable[[int, int], None], n: int, tile: int) -> None:
        counts.append(-(-n // tile))
        real(work, n, tile)

    for module in (threads, cpu, normalization, softmax):
        monkeypatch.setattr(module, "tiled", tiled)
    monkeypatch.setattr(threads, "TILE", 64)
    monkeypatch.setattr(optimizer, "_SMALL", 32)
    monkeypatch.setattr(normalization, "_FEW", 20)
    monkeypatch.setattr(normalization, "_LITTLE", 20)
    yield counts
    gpunn.set_num_threads(before)


def parts(n: int, each: int = 1, passes: int = 8) -> int:
    """How many tiles ``n`` parts of ``each`` elements make."""
    return -(-n // threads.share(n, each, passes))


def normal(dtype: str, *shape: int) -> Any:
    return (RNG.normal(size=shape) * 3).astype(dtype)


@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (64,), (5, 13), (4, 3, 11, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("slope", [False, True])
def test_gelu(shape: tuple[int, ...], dtype: str, slope: bool, jobs: list[int]):
    x = np.asarray(normal(dtype, *shape))
    for a in (x, x.T, x[::2] if shape else x):
        got, expected = HOST.gelu(a, slope), REFERENCE.gelu(a, slope)
        for name, g, e in zip(("gelu", "its slope"), got, expected, strict=True):
            assert (g is None) == (e is None)
            if g is not None:
                compare(g, np.asarray(e), f"{name} of {a.shape}", 1e-6, 5e-7)
        assert jobs.pop() == parts(a.size, 1, 24)


@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (65,), (5, 13), (4, 3, 11, 5)])
@pytest.mark.parametrize("dtype", [*DTYPES, "int64"])
def test_relu_and_masked(
    shape: tuple[int, ...], dtype: str, jobs: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(activation, "_FEW", 20)
    x = np.asarray(normal(dtype, *shape))
    mask = np.asarray(RNG.random(shape) < 0.5)
    if x.dtype.kind == "f" and x.size:
        x.reshape(-1)[::7] = np.nan
    for a, m in [(x, mask), (x.T, mask.T)]:
        jobs.clear()
        compare(np.asarray(HOST.relu(a)), np.asarray(REFERENCE.relu(a)), "relu", 0, 0)
        few = a.size <= 20 or a.dtype.kind != "f" or not a.flags.c_contiguous
        assert jobs == ([] if few else [parts(a.size, 1, 1)])
        jobs.clear()
        got, expected = HOST.masked(a, m), REFERENCE.masked(a, m)
        compare(np.asarray(got), np.asarray(expected), "masked", 0, 0)
        counts = [*jobs]
        y = REFERENCE.relu(a)
        for dy in (a, a[::-1] if a.ndim else a):
            got, expected = HOST.relu_input(dy, y), REFERENCE.relu_input(dy, y)
            compare(np.asarray(got), np.asarray(expected), "relu_input", 0, 0)
        tiled = a.dtype.kind == "f" and a.size > 20 and a.flags.c_contiguous
        assert counts == ([parts(a.size, 1, 2)] if tiled else [])


@pytest.mark.parametrize("dtype", [*DTYPES, "int64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (5, 13), (4, 3, 11, 5)])
def test_where_and_clamp(shape: tuple[int, ...], dtype: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(activation, "_FEW", 3)
    x, y = (np.asarray(normal(dtype, *shape)) for _ in range(2))
    mask = np.asarray(RNG.random(shape) < 0.5)
    if x.dtype.kind == "f" and x.size:
        x.reshape(-1)[::7] = np.nan
        y.reshape(-1)[::5] = -np.inf
    one = x.dtype.type(1)
    for a, b, m in [(x, y, mask), (x.T, y.T, mask.T), (x, one, mask), (one, y, mask), (2, y, mask)]:
        got, expected = HOST.where(m, a, b), REFERENCE.where(m, a, b)
        compare(np.asarray(got), np.asarray(expected), "where", 0, 0)
    compare(HOST.where(mask, x, 0.5), REFERENCE.where(mask, x, 0.5), "where", 0, 0)
    if shape:  # broadcast, and promoted
        for a, b in [(x[:1], y), (x, y.astype("f8"))]:
            compare(HOST.where(mask, a, b), REFERENCE.where(mask, a, b), "where", 0, 0)
    for low, high in [(-one, one), (None, one), (-one, None), (one, -one), (y, None), (None, y)]:
        got, expected = HOST.clamp(x, low, high), REFERENCE.clamp(x, low, high)
        compare(np.asarray(got), np.asarray(expected), "clamp", 0, 0)


def test_gelu_is_as_exact_as_with_erf():
    x = np.linspace(-12, 12, 100_001)
    exact, exact_slope = REFERENCE.gelu(x, True)
    y, slope = HOST.gelu(x.astype("f4"), True)
    single = x.astype("f4").astype("f8")
    exact, exact_slope = REFERENCE.gelu(single, True)
    assert (np.abs(y - exact) <= 1.5e-7 * np.abs(single)).all()  # an ulp of Φ near 1 is 1.2e-7
    assert np.abs(slope - exact_slope).max() <= 2.5e-7


def test_gelu_far_out():
    x = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30, 40, -40], "f4")
    compare(HOST.gelu(x, False)[0], REFERENCE.gelu(x, False)[0], "gelu", 0, 0)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        *[((), 0), ((0, 5), 1), ((5, 0), 1), ((40, 3), 1), ((40, 3), 0), ((3, 700), 1)],
        *[((9, 1), 1), ((6, 5, 7), 1), ((6, 5, 7), 2), ((6, 5, 7), 0), ((2, 3, 4, 65), 1)],
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax(shape: tuple[int, ...], axis: int, dtype: str, jobs: list[int]):
    shape = shape or (1,)
    x, dy = normal(dtype, *shape), normal(dtype, *shape)
    for a, b in [(x, dy), (np.asfortranarray(x), np.asfortranarray(dy))]:
        jobs.clear()
        y, logs = REFERENCE.softmax(a, axis), REFERENCE.log_softmax(a, axis)
        both = [
            (HOST.softmax(a, axis), y),
            (HOST.log_softmax(a, axis), logs),
            (HOST.softmax_input(b, y, axis), REFERENCE.softmax_input(b, y, axis)),
            (HOST.log_softmax_input(b, logs, axis), REFERENCE.log_softmax_input(b, logs, axis)),
        ]
        for got, expected in both:
            ulp = 1e-3 if dtype == "float16" else 1e-5
            compare(got, expected, f"softmax of {shape} along {axis}", ulp)
        lead = int(np.prod(shape[:axis]))
        tiled = a.flags.c_contiguous and parts(lead, a.size // max(1, lead)) > 1
        tiled = tiled and dtype != "float16"
        assert (len(jobs) >= 3) == tiled


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e4, -1e4, 80.0, -100.0])
def test_softmax_of_short_rows_far_out(dtype: str, bad: float):
    x = normal(dtype, 50, 9)
    x[3, 4] = x[20:24, 1] = bad
    x[30] = bad
    compare(HOST.softmax(x, 1), REFERENCE.softmax(x, 1), f"softmax with {bad}")


@pytest.mark.parametrize("shape", [(7, 9), (40, 3), (2, 100), (0, 5), (4, 5, 6)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize(("weighted", "ignored"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("mean", [True, False])
def test_cross_entropy(
    shape: tuple[int, ...], dtype: str, smoothing: float, weighted: bool, ignored: bool,
    mean: bool, jobs: list[int],
):  # fmt: skip
    x = normal(dtype, *shape)
    classes = RNG.integers(0, shape[1], shape[:1] + shape[2:])
    if ignored:
        classes.reshape(-1)[::2] = -100
    weight = normal(dtype, shape[1]) ** 2 if weighted and not smoothing else None
    for a in (x, np.asfortranarray(x)):
        jobs.clear()
        args = a, classes, weight, -100, mean, smoothing, 1
        for gradient in (True, False):
            got, expected = (b.cross_entropy(*args, gradient) for b in (HOST, REFERENCE))
            compare(np.asarray(got[0]), np.asarray(expected[0]), "loss", 1e-5, 1e-5)
            assert (got[1] is None) == (not gradient)
            if gradient:
                compare(got[1], expected[1], "gradient", 1e-5, 1e-6)
        if x.ndim == 2:
            assert jobs == ([parts(*shape)] * 2 if a.flags.c_contiguous else [])


RULES: list[tuple[str, int, dict[str, Any]]] = [
    ("sgd_step", 1, {"momentum": 0.9, "dampening": 0.1, "nesterov": True, "first": False}),
    ("adam_step", 3, {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "decoupled": True, "step": 3}),
    ("rmsprop_step", 3, {"alpha": 0.9, "eps": 1e-8, "momentum": 0.9}),
]


def check_step(rule: tuple[str, int, dict[str, Any]], shapes: list[Any], dtype: str, order: Any):
    """One step of all the arrays by the host and by the reference: the same bits."""
    name, slots, options = rule
    lists = [
        [np.array(np.abs(normal(dtype, *shape)) + 9, order=order) for shape in shapes]
        for _ in range(slots + 2)
    ]
    ours, theirs = ([[np.copy(a, order="K") for a in some] for some in lists] for _ in range(2))
    numbers = {"lr": 0.1, "weight_decay": 0.1, "maximize": True, **options}
    getattr(HOST, name)(*ours, **numbers)
    getattr(REFERENCE, name)(*theirs, **numbers)
    for k, (some, others) in enumerate(zip(ours, theirs, strict=True)):
        for got, expected in zip(some, others, strict=True):
            compare(got, expected, f"list {k} of {name}", 0, 0)


@pytest.mark.parametrize("shape", [(), (63,), (13, 11), (3, 5, 7, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rule", RULES)
def test_optimizers(rule: Any, shape: tuple[int, ...], dtype: str, order: Any, jobs: list[int]):
    check_step(rule, [shape], dtype, order)
    size = np.zeros(shape).size
    contiguous = order == "C" or len(shape) < 2
    pieces = parts(size, 1, 12)
    assert jobs == ([pieces] if pieces > 1 and size > 32 and contiguous else [])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rule", RULES)
def test_optimizers_take_small_arrays_as_one(rule: Any, order: Any, jobs: list[int]):
    check_step(rule, [(), (5, 6), (0, 3), (41,), (7, 11), (2, 3)], "float32", order)
    # The two of more than 32 elements go by themselves, and the rest side by side.
    assert jobs == ([2, 2] if order == "C" else [2])


@pytest.mark.parametrize("shape", [(7, 9), (5, 13, 3), (3, 5, 7, 2), (2, 3, 2, 3, 5), (2, 1, 90)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape: tuple[int, ...], dtype: str, affine: bool, jobs: list[int]):
    x, dy = normal(dtype, *shape), normal(dtype, *shape)
    w, b = normal(dtype, 2, shape[1]) if affine else (None, None)
    for a, d in [(x, dy), (np.asfortranarray(x), np.asfortranarray(dy))]:
        jobs.clear()
        expected = REFERENCE.batch_norm(a, w, b, 1e-3)
        _, mean, var = expected
        _same(HOST.batch_norm(a, w, b, 1e-3), expected, dtype)
        args = d, a, w, mean, var, 1e-3
        _same(HOST.batch_norm_input(*args), REFERENCE.batch_norm_input(*args), dtype)
        args = a, w, b, mean, var, 1e-3
        _same([HOST.batch_norm_eval(*args)], [REFERENCE.batch_norm_eval(*args)], dtype)
        channels, images = shape[1], shape[0]
        wanted = [parts(channels, x.size // channels)] * 2
        if a.flags.c_contiguous:
            wanted.append(parts(images, x.size // images, 2))
        assert jobs == (wanted if dtype != "float16" else [])


@pytest.mark.parametrize("shape", [(7, 9), (13, 5, 3), (1, 5, 7, 2), (41, 2, 3)])
@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm(shape: tuple[int, ...], dims: int, dtype: str, affine: bool, jobs: list[int]):
    x, dy = normal(dtype, *shape), normal(dtype, *shape)
    w, b = normal(dtype, 2, *shape[-dims:]) if affine else (None, None)
    expected = REFERENCE.layer_norm(x, w, b, dims, 1e-3)
    _, mean, var = expected
    _same(HOST.layer_norm(x, w, b, dims, 1e-3), expected, dtype)
    for sizes in (shape[-dims:], None) if w is None else (w.shape,):
        args = dy, x, w, mean, var, dims, 1e-3, sizes
        _same(HOST.layer_norm_input(*args), REFERENCE.layer_norm_input(*args), dtype)
    assert len(jobs) == ((2 if affine else 3) if parts(x.size) > 1 and dims < len(shape) else 0)


@pytest.mark.parametrize("shape", [(2, 3, 4, 9), (5, 1, 2, 1), (3, 4, 1, 10)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_layer_norm_with_a_weight_for_each_group(
    shape: tuple[int, ...], dtype: str, jobs: list[int]
):
    x, dy = normal(dtype, *shape), normal(dtype, *shape)
    w, b = normal(dtype, 2, *shape[1:3], 1)
    expected = REFERENCE.layer_norm(x, w, b, 2, 1e-3)
    _same(HOST.layer_norm(x, w, b, 2, 1e-3), expected, dtype)
    args = dy, x, w, *expected[1:], 2, 1e-3, w.shape
    _same(HOST.layer_norm_input(*args), REFERENCE.layer_norm_input(*args), dtype)
    assert len(jobs) == (2 if parts(x.size) > 1 else 0)


def _same(got: Any, expected: Any, dtype: str) -> None:
    tolerance = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-12}[dtype]
    for i, (g, e) in enumerate(zip(got, expected, strict=True)):
        if e is None:
            assert g is None, f"output {i}"
        else:
            compare(g, e, f"output {i}", tolerance, tolerance)


@pytest.mark.parametrize("n", [1, 7, 64, 65, 200, 1001])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_is_the_same_stream(n: int, dtype: str, jobs: list[int]):
    x = normal(dtype, n)
    for a in (x, x.reshape(1, n).T, np.repeat(x, 2)[::2]):
        for offset in (0, 5, 2**64 - 3):
            args = 2**65 + 7, offset, 0.3, a.ndim, 1.25
            compare(HOST.dropout(a, *args), REFERENCE.dropout(a, *args), "dropout", 0, 0)
            assert jobs.pop() == -(-n // (-(-threads.share(n, 1, 24) // 8) * 8))
