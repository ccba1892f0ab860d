"""normalization.cu: every build against the reference on the same device, and what it moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import compare

import gpunn
import gpunn.sim
from gpunn.backends.reference.normalization import NormalizationPrimitives as Reference

launcher = pytest.importorskip("gpunn.backends.launcher")
TOLERANCE = {"float64": 1e-12, "float32": 2e-5, "float16": 2e-3, "bfloat16": 2e-2}
FORWARD = ["batch_norm_moments", "batch_norm_forward"]
BACKWARD = ["batch_norm_sums", "batch_norm_backward"]


def normal(cuda: Any, dtype: str, *shape: int, seed: int = 0, offset: int = 0) -> Any:
    """Random numbers on the device, ``offset`` elements into their memory."""
    rng = np.random.default_rng((seed, *shape))
    made = cuda.xp.empty(math.prod(shape) + offset, element(dtype))
    x = made[offset:].reshape(shape)
    x[...] = cuda.from_numpy(rng.standard_normal(shape, "f4").astype(element(dtype)))
    return x


def element(dtype: str) -> Any:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)


def same(cuda: Any, got: Any, expected: Any, tolerance: float, what: str) -> None:
    for i, (g, e) in enumerate(zip(got, expected, strict=True)):
        assert g.dtype == e.dtype, f"{what}, output {i}: {g.dtype} for {e.dtype}"
        wide = np.promote_types(g.dtype, "f4")
        a, b = (cuda.to_numpy(v).astype(wide) for v in (g, e))
        compare(a, b, f"{what}, output {i}", tolerance, tolerance)


DTYPES = [
    ("float32", "float32"),
    ("float64", "float64"),
    ("float16", "float16"),
    ("float16", "float32"),
    ("bfloat16", "bfloat16"),
    ("bfloat16", "float32"),
]
SHAPES = [
    (3, 5, 4, 4),  # whole packs
    (2, 3, 7, 7),  # not
    (3, 2, 3),
    (5, 1, 1, 1500),  # several blocks to a channel, which end within an image
    (150, 37),  # columns: two blocks abreast, several down
    (2, 70, 1),
    (1, 3, 5),  # one image
]


@pytest.mark.parametrize(
    ("shape", "dtype", "param"),
    [
        *((shape, *DTYPES[0]) for shape in SHAPES),
        *((shape, *dtypes) for shape in SHAPES[1:6:2] for dtypes in DTYPES[1:]),
        *((SHAPES[0], *dtypes) for dtypes in DTYPES[1::2]),
    ],
)
def test_batch_norm(cuda: Any, shape: tuple[int, ...], dtype: str, param: str):
    c, tolerance = shape[1], TOLERANCE[dtype]
    x, dy = normal(cuda, dtype, *shape) * 2 + 3, normal(cuda, dtype, *shape, seed=1)
    x = x.astype(dy.dtype)
    w, b, start = (normal(cuda, param, c, seed=s) for s in (2, 3, 4))
    ours, theirs = ([start.copy(), abs(start)] for _ in range(2))
    with launcher.recorded() as names:
        got = cuda.batch_norm(x, w, b, 1e-3, *ours, 0.3)
    assert names == FORWARD
    expected = Reference.batch_norm(cuda, x, w, b, 1e-3, *theirs, 0.3)
    same(cuda, got, expected, tolerance, "forward")
    same(cuda, ours, theirs, TOLERANCE[param], "running statistics")
    args = dy, x, w, *expected[1:], 1e-3
    with launcher.recorded() as names:
        got = cuda.batch_norm_input(*args)
    assert names == BACKWARD
    same(cuda, got, Reference.batch_norm_input(cuda, *args), 4 * tolerance, "backward")
    args = x, w, b, *ours, 1e-3
    with launcher.recorded() as names:
        got = cuda.batch_norm_eval(*args)
    assert names == ["batch_norm_eval"]
    same(cuda, [got], [Reference.batch_norm_eval(cuda, *args)], tolerance, "evaluation")


def test_without_weight_bias_and_running_statistics(cuda: Any):
    x, dy = (normal(cuda, "float32", 4, 3, 8, seed=s) for s in range(2))
    got, expected = (f(x, None, None, 1e-3) for f in (cuda.batch_norm, _bound(cuda, "batch_norm")))
    same(cuda, got, expected, 1e-5, "forward")
    args = dy, x, None, *expected[1:], 1e-3
    got, expected = (f(*args) for f in (cuda.batch_norm_input, _bound(cuda, "batch_norm_input")))
    same(cuda, got, expected, 1e-5, "backward")


def _bound(cuda: Any, name: str) -> Any:
    return getattr(Reference, name).__get__(cuda)


@pytest.mark.parametrize("offset", [0, 1])
def test_strided_and_misaligned(cuda: Any, offset: int):
    x, dy = (normal(cuda, "float32", 8, 3, 4, 2, seed=s, offset=offset) for s in range(2))
    for a, d in ((x, dy), (x.transpose(3, 1, 2, 0), dy.transpose(3, 1, 2, 0)), (x[::2], dy[::2])):
        got, expected = (
            f(a, None, None, 1e-3) for f in (cuda.batch_norm, _bound(cuda, "batch_norm"))
        )
        same(cuda, got, expected, 1e-5, "forward")
        args = d, a, None, *expected[1:], 1e-3
        got, expected = (
            f(*args) for f in (cuda.batch_norm_input, _bound(cuda, "batch_norm_input"))
        )
        same(cuda, got, expected, 2e-5, "backward")


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_empty(cuda: Any, shape: tuple[int, ...]):
    x, w = normal(cuda, "float32", *shape), normal(cuda, "float32", shape[1])
    running = [w.copy(), abs(w)]
    with launcher.recorded() as names:
        y, mean, var = cuda.batch_norm(x, w, w, 1e-3, *running, 0.1)
        evaluated = cuda.batch_norm_eval(x, w, w, *running, 1e-3)
    assert names == []
    assert y.shape == evaluated.shape == shape
    assert mean.shape == var.shape == (shape[1],)
    assert (cuda.to_numpy(running[0]) == cuda.to_numpy(w)).all(), "no elements, nothing to learn"


def test_dtypes_that_do_not_fit_take_the_reference(cuda: Any):
    x, w = normal(cuda, "float16", 4, 3, 8), normal(cuda, "float16", 3)
    with launcher.recorded() as names:
        cuda.batch_norm(x, w, w.astype("f4"), 1e-3)
    assert names == []


def test_nothing_is_lost_beside_a_large_mean(cuda: Any):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((4, 2, 50, 50)) + 5000).astype("f4")
    _, mean, var = cuda.batch_norm(cuda.from_numpy(x), None, None, 1e-5)
    exact = x.astype("f8").transpose(1, 0, 2, 3).reshape(2, -1)
    np.testing.assert_allclose(cuda.to_numpy(mean), exact.mean(1), rtol=1e-6)
    np.testing.assert_allclose(cuda.to_numpy(var), exact.var(1), rtol=1e-4)


def test_a_constant_channel_becomes_its_bias(cuda: Any):
    x = cuda.xp.full((3, 2, 700), 0.1, "float32")
    b = normal(cuda, "float32", 2)
    y, _, var = cuda.batch_norm(x, b, b, 1e-5)
    assert (cuda.to_numpy(var) == 0).all()
    assert (cuda.to_numpy(y) == cuda.to_numpy(b)[:, None]).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_in_its_channel(cuda: Any, bad: float):
    x = normal(cuda, "float32", 4, 3, 10, 10)
    x[1, 1, 2, 3] = bad
    y, mean, _ = cuda.batch_norm(x, None, None, 1e-3)
    assert np.isnan(cuda.to_numpy(y)[:, 1]).all()
    assert np.isfinite(cuda.to_numpy(y)[:, [0, 2]]).all()
    assert np.isfinite(cuda.to_numpy(mean)).tolist() == [True, False, True]


def test_same_input_same_bits(cuda: Any):
    x, dy = (normal(cuda, "float32", 5, 2, 30, 30, seed=s) for s in range(2))
    runs = []
    for _ in range(2):
        y, mean, var = cuda.batch_norm(x, None, None, 1e-3)
        runs.append([y, mean, var, *cuda.batch_norm_input(dy, x, None, mean, var, 1e-3)])
    for a, b in zip(*runs, strict=True):
        assert cuda.to_numpy(a).tobytes() == cuda.to_numpy(b).tobytes()


# Layer norm -------------------------------------------------------------------------------------

ROWS = [
    ((5, 3, 20), 1),  # 32 threads a row, whole packs
    ((9, 7, 3), 2),  # and not
    ((3, 1030), 1),  # 256 threads a row
    ((2, 1023), 1),
    ((301, 6), 1),  # several parts of the weight's gradient
    ((4, 1, 1), 1),
    ((33,), 1),
]


@pytest.mark.parametrize(
    ("shape", "dims", "dtype", "param"),
    [
        *((*row, *DTYPES[0]) for row in ROWS),
        *((*row, *dtypes) for row in ROWS[:3:2] for dtypes in DTYPES[1:]),
    ],
)
def test_layer_norm(cuda: Any, shape: tuple[int, ...], dims: int, dtype: str, param: str):
    tolerance = TOLERANCE[dtype]
    x, dy = normal(cuda, dtype, *shape) * 2 + 3, normal(cuda, dtype, *shape, seed=1)
    x = x.astype(dy.dtype)
    w, b = (normal(cuda, param, *shape[-dims:], seed=s) for s in (2, 3))
    with launcher.recorded() as names:
        got = cuda.layer_norm(x, w, b, dims, 1e-3)
    assert names == ["layer_norm_forward"]
    expected = Reference.layer_norm(cuda, x, w, b, dims, 1e-3)
    same(cuda, got, expected, tolerance, "forward")
    args = dy, x, w, *expected[1:], dims, 1e-3, shape[-dims:]
    with launcher.recorded() as names:
        got = cuda.layer_norm_input(*args)
    assert names[:2] == ["layer_norm_backward", "layer_norm_weight"]
    several = len(shape) == 2 and shape[0] > 128
    assert names[2:] == (["normalization_weight_sum"] if several else [])
    same(cuda, got, Reference.layer_norm_input(cuda, *args), 4 * tolerance, "backward")


GROUPS = [
    ((2, 3, 4, 8), (3, 4, 1)),  # group norm: 4 channels of 8 pixels, whole packs
    ((3, 2, 3, 35), (2, 3, 1)),  # and not
    ((1, 2, 2, 2100), (2, 2, 1)),  # one image, 256 threads to a row and to a share
    ((4, 3, 8, 1), (3, 8, 1)),  # groups with a weight for each element
    ((4, 3, 1, 6), (3, 1, 1)),  # and with one for all
    ((5, 2, 3, 4), (3, 1)),  # a weight for a part of a row, and the same for all rows
]


@pytest.mark.parametrize(
    ("shape", "sizes", "dtype"),
    [*((*group, "float32") for group in GROUPS), (*GROUPS[0], "float64"), (*GROUPS[1], "float16")],
)
def test_groups_with_weights_of_their_own(
    cuda: Any, shape: tuple[int, ...], sizes: tuple[int, ...], dtype: str
):
    x, dy = (normal(cuda, dtype, *shape, seed=s) for s in range(2))
    w, b = (normal(cuda, dtype, *sizes, seed=s) for s in (2, 3))
    with launcher.recorded() as names:
        got = cuda.layer_norm(x, w, b, 2, 1e-3)
    expected = Reference.layer_norm(cuda, x, w, b, 2, 1e-3)
    same(cuda, got, expected, TOLERANCE[dtype], "forward")
    args = dy, x, w, *expected[1:], 2, 1e-3, sizes
    with launcher.recorded() as more:
        got = cuda.layer_norm_input(*args)
    same(cuda, got, Reference.layer_norm_input(cuda, *args), 4 * TOLERANCE[dtype], "backward")
    assert names == ["layer_norm_forward"]
    assert more[:2] == ["layer_norm_backward", "group_norm_weight"]
    assert more[2:] == ([] if shape[0] == 1 else ["normalization_weight_sum"])


def test_weights_of_other_shapes_take_the_reference(cuda: Any):
    x = normal(cuda, "float32", 2, 3, 4, 5)
    w = normal(cuda, "float32", 1, 5)
    with launcher.recorded() as names:
        got = cuda.layer_norm(x, w, w, 2, 1e-3)
    same(cuda, got, Reference.layer_norm(cuda, x, w, w, 2, 1e-3), 1e-5, "forward")
    assert names == []


def test_rows_without_weight_and_bias(cuda: Any):
    x, dy = (normal(cuda, "float32", 6, 40, seed=s) for s in range(2))
    _, mean, var = cuda.layer_norm(x, None, None, 1, 1e-3)
    args = dy, x, None, mean, var, 1, 1e-3, None
    with launcher.recorded() as names:
        dx, *sums = cuda.layer_norm_input(*args)
    assert names == ["layer_norm_backward"]
    assert sums == [None, None]
    expected, *_ = Reference.layer_norm_input(cuda, *args)
    same(cuda, [dx], [expected], 1e-5, "dx")


@pytest.mark.parametrize("offset", [0, 1])
def test_long_misaligned_and_strided_rows(cuda: Any, offset: int):
    """10,240 floats are kept in shared memory, and no more."""
    for shape in ((2, 5120), (1, 10244)):
        x, dy = (normal(cuda, "float32", *shape, seed=s, offset=offset) for s in range(2))
        w = normal(cuda, "float32", shape[1], seed=2)
        for a, d in ((x, dy), (x[:, ::-1], dy[:, ::-1])):
            forward = a, w, w, 1, 1e-3
            with launcher.recorded() as names:
                got = cuda.layer_norm(*forward)
            assert names == (FORWARD if shape[1] > 10240 else ["layer_norm_forward"])
            expected = Reference.layer_norm(cuda, *forward)
            same(cuda, got, expected, 2e-5, f"forward of {shape}")
            args = d, a, w, *expected[1:], 1, 1e-3, w.shape
            got, expected = (
                f(*args) for f in (cuda.layer_norm_input, _bound(cuda, "layer_norm_input"))
            )
            same(cuda, got, expected, 5e-5, f"backward of {shape}")


@pytest.mark.parametrize("pixels", [3600, 3601])
@pytest.mark.parametrize("affine", [True, False])
def test_several_blocks_share_a_long_row(cuda: Any, pixels: int, affine: bool):
    x, dy = (normal(cuda, "float32", 2, 2, 3, pixels, seed=s) for s in range(2))
    w, b = (normal(cuda, "float32", 2, 3, 1, seed=s) if affine else None for s in (2, 3))
    with launcher.recorded() as names:
        got = cuda.layer_norm(x, w, b, 2, 1e-3)
    assert names == FORWARD
    expected = Reference.layer_norm(cuda, x, w, b, 2, 1e-3)
    same(cuda, got, expected, 2e-5, "forward")
    args = dy, x, w, *expected[1:], 2, 1e-3, None if w is None else w.shape
    with launcher.recorded() as names:
        got = cuda.layer_norm_input(*args)
    assert names[:2] == BACKWARD
    expected = Reference.layer_norm_input(cuda, *args)
    n = 3 if affine else 1
    same(cuda, got[:n], expected[:n], 1e-4, "backward")


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_rows(cuda: Any, shape: tuple[int, ...]):
    with launcher.recorded() as names:
        y, *_ = cuda.layer_norm(normal(cuda, "float32", *shape), None, None, 1, 1e-3)
    assert names == []
    assert y.shape == shape


def test_rows_with_a_large_mean_and_constant_rows(cuda: Any):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((3, 1500)) + 5000).astype("f4")
    x[1] = 0.1
    y, mean, var = cuda.layer_norm(cuda.from_numpy(x), None, None, 1, 1e-5)
    np.testing.assert_allclose(cuda.to_numpy(mean)[:, 0], x.mean(1, dtype="f8"), rtol=1e-6)
    np.testing.assert_allclose(
        cuda.to_numpy(var)[:, 0], x.var(1, dtype="f8"), rtol=1e-4, atol=1e-12
    )
    assert np.abs(cuda.to_numpy(y)[1]).max() < 1e-4


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("affine", [True, False])
def test_layer_and_group_norm_as_on_the_cpu(affine: bool):
    F = gpunn.nn.functional  # noqa: N806
    x, w = gpunn.randn(4, 6, 5, 5), gpunn.randn(6)
    results: list[list[Any]] = []
    for device in ("cuda", "cpu"):
        a = x.to(device).clone().requires_grad_()
        v = w.to(device).clone().requires_grad_() if affine else None
        with launcher.recorded() as names:
            y = F.group_norm(a, 3, v, v) + F.layer_norm(a, (5, 5))
            (y * y * x.to(device)).sum().backward()
        assert names.count("layer_norm_forward") == (2 if device == "cuda" else 0)
        assert names.count("layer_norm_backward") == (2 if device == "cuda" else 0)
        found = [y, a.grad, *([v.grad] if v is not None else [])]
        results.append([t.detach().cpu().numpy() for t in found])
    for i, (got, expected) in enumerate(zip(*results, strict=True)):
        compare(got, expected, f"output {i}", 5e-5, 5e-5)


# Through the modules ----------------------------------------------------------------------------


def train(device: str) -> list[Any]:
    """One step each of a module in training, then evaluation: all that comes of it."""
    gpunn.manual_seed(3)
    x = gpunn.randn(4, 6, 5, 5).to(device).requires_grad_()
    module = gpunn.nn.BatchNorm2d(6).to(device)
    y = module(x)
    (y * y * x.detach()).sum().backward()
    module.eval()
    z = module(x)
    found = y, z, x.grad, *(p.grad for p in module.parameters()), *module.buffers()
    return [v.detach().cpu().numpy() for v in found]


@pytest.mark.usefixtures("cuda")
def test_the_module_as_on_the_cpu():
    with launcher.recorded() as names:
        ours = train("cuda")
    ran = [n for n in names if n.startswith("batch_norm")]
    assert ran == [*FORWARD, *BACKWARD, "batch_norm_eval"]
    for i, (got, expected) in enumerate(zip(ours, train("cpu"), strict=True)):
        compare(got, expected, f"output {i}", 2e-5, 2e-5)


@pytest.mark.usefixtures("cuda")
def test_instance_norm_takes_the_kernels_too():
    x = gpunn.randn(3, 4, 6, 6, device="cuda")
    with launcher.recorded() as names:
        y = gpunn.nn.functional.instance_norm(x)
    assert names == FORWARD
    expected = gpunn.nn.functional.instance_norm(x.cpu())
    compare(y.cpu().numpy(), expected.numpy(), "instance norm", 1e-5, 1e-5)


# Bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 4, 32, 32), (2048, 64)])
def test_bytes_per_element(cuda: Any, moved: Callable[[str], int], shape: tuple[int, ...]):
    x, dy = (normal(cuda, "float32", *shape, seed=s) for s in range(2))
    w = normal(cuda, "float32", shape[1])
    _, mean, var = cuda.batch_norm(x, w, w, 1e-3)
    cuda.batch_norm_input(dy, x, w, mean, var, 1e-3)
    cuda.batch_norm_eval(x, w, w, mean, var, 1e-3)
    least = {"moments": 4, "forward": 8, "sums": 8, "backward": 12, "eval": 8}
    for name, floor in least.items():
        each = moved(f"batch_norm_{name}") / x.size
        assert floor <= each <= 1.05 * floor, f"batch_norm_{name} moves {each:.2f} bytes"


@pytest.mark.parametrize("size", [512, 1024])
def test_bytes_of_rows(cuda: Any, moved: Callable[[str], int], size: int):
    x, dy = (normal(cuda, "float32", 64, size, seed=s) for s in range(2))
    _, mean, var = cuda.layer_norm(x, None, None, 1, 1e-3)
    cuda.layer_norm_input(dy, x, None, mean, var, 1, 1e-3, (size,))
    for name, floor in {"forward": 8, "backward": 12, "weight": 8}.items():
        each = moved(f"layer_norm_{name}") / x.size
        assert floor <= each <= 1.1 * floor, f"layer_norm_{name} moves {each:.2f} bytes"
