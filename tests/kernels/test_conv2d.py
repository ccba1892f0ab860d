"""conv2d.cu, conv2d_weight.cu: every build against the reference in float64 on the same device."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checks import compare
from simulated import line_of

import gpunn
import gpunn.sim
from gpunn.backends.reference.convolution import ConvolutionPrimitives as Reference
from gpunn.backends.reference.window import output_size
from gpunn.sim.profile import Profile

launcher = pytest.importorskip("gpunn.backends.launcher")
# Of the largest element: each factor rounded to so many bits, sums in float32 or better.
TOLERANCE = {"float64": 1e-14, "float32": 1e-6, "float16": 1e-3, "bfloat16": 8e-3}
TOLERANCE |= {"tf32": 2e-3, "tf32x3": 1e-6}

# images, channels, output channels, size, kernel, stride, padding, dilation, groups
CASES = {
    "plain": (2, 3, 5, (9, 7), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "groups": (2, 6, 34, (9, 7), (3, 2), (2, 1), (1, 0), (1, 2), 2),
    "tiles": (2, 9, 66, (8, 9), (1, 2), (1, 1), (0, 1), (1, 1), 1),
    "tiles of rows": (1, 4, 130, (4, 6), (2, 2), (1, 2), (1, 0), (1, 1), 1),
    "one dimension": (3, 4, 6, (17,), (4,), (3,), (2,), (1,), 2),
    "taps between strides": (1, 2, 3, (7, 7), (2, 1), (3, 2), (0, 0), (1, 1), 1),
    "stride and dilation": (2, 5, 7, (8, 6), (3, 3), (2, 4), (2, 2), (2, 2), 1),
    "more padding than filter": (1, 2, 3, (3, 2), (2, 2), (1, 1), (4, 3), (1, 1), 1),
    "inputs that nothing sees": (2, 2, 2, (8, 9), (2, 2), (3, 5), (0, 0), (1, 1), 1),
    "the largest filter": (1, 2, 2, (15, 17), (15, 16), (1, 1), (3, 2), (1, 1), 1),
    "splits": (3, 2, 3, (14, 15), (2, 2), (1, 1), (0, 1), (1, 1), 1),
    "pieces": (2, 3, 4, (6, 6), (3, 3), (1, 1), (1, 1), (1, 1), 1),
}
ALL = [case for case in CASES if case != "splits"]
SOME = {
    ("float64", "ieee"): ("plain", "groups"),
    ("float32", "tf32"): ("plain", "groups", "tiles of rows"),
    ("float32", "tf32x3"): ("plain", "tiles of rows"),
    ("float16", "ieee"): ("plain", "groups", "one dimension", "tiles of rows"),
    ("bfloat16", "ieee"): ("plain", "tiles of rows"),
}
BUILDS = [("float32", "ieee", case) for case in ALL]
BUILDS += [(*build, case) for build, cases in SOME.items() for case in cases]


@pytest.fixture(autouse=True)
def precision() -> Iterator[Any]:
    """Sets the switch of convolutions, until the test is over."""
    switch = gpunn.backends.cuda.conv
    before = switch.fp32_precision

    def set_to(value: str) -> None:
        switch.fp32_precision = value

    yield set_to
    switch.fp32_precision = before


def element(dtype: str) -> Any:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)


def normal(cuda: Any, dtype: str, *shape: int, seed: int = 0) -> Any:
    """Random numbers on the device, one element into their memory."""
    made = cuda.xp.empty(math.prod(shape) + 1, element(dtype))
    x = made[1:].reshape(shape)
    drawn = np.random.default_rng((seed, *shape)).standard_normal(shape, "f4")
    x[...] = cuda.from_numpy(drawn.astype(element(dtype)))
    return x


def wide(x: Any) -> Any:
    return None if x is None else x.astype("f4").astype("f8")


def same(cuda: Any, got: Any, expected: Any, tolerance: float, what: str) -> None:
    a, b = (cuda.to_numpy(wide(v)) for v in (got, expected))
    compare(a, b, what, 0, tolerance * max(1, float(abs(b).max())))


def arrays(cuda: Any, dtype: str, case: Any) -> tuple[Any, ...]:
    n, c, o, size, kernel, stride, padding, dilation, groups = case
    out = tuple(map(output_size, size, kernel, stride, padding, dilation))
    x, w = normal(cuda, dtype, n, c, *size), normal(cuda, dtype, o, c // groups, *kernel)
    return x, w, normal(cuda, dtype, o), normal(cuda, dtype, n, o, *out, seed=1)


@pytest.mark.parametrize(("dtype", "how", "case"), BUILDS)
def test_forward(cuda: Any, precision: Any, dtype: str, how: str, case: str):
    precision(how)
    geometry = CASES[case][5:]
    x, w, b, _ = arrays(cuda, dtype, CASES[case])
    for bias in (b, None):
        with launcher.recorded() as names:
            y = cuda.conv(x, w, bias, *geometry)
        assert names == ["conv2d_pack", "conv2d_forward"]
        assert y.dtype == x.dtype
        expected = Reference.conv(cuda, wide(x), wide(w), wide(bias), *geometry)
        same(cuda, y, expected, TOLERANCE[dtype if how == "ieee" else how], "y")


@pytest.mark.parametrize(("dtype", "how", "case"), BUILDS)
def test_backward_data(cuda: Any, precision: Any, dtype: str, how: str, case: str):
    precision(how)
    size, geometry = CASES[case][3], CASES[case][5:]
    _, w, _, dy = arrays(cuda, dtype, CASES[case])
    with launcher.recorded() as names:
        dx = cuda.conv_input(dy, w, size, *geometry)
    phases = math.prod(map(min, geometry[0], size))
    assert names.count("conv2d_backward_data") == phases
    assert set(names) == {"conv2d_pack", "conv2d_backward_data"}
    assert dx.dtype == dy.dtype
    expected = Reference.conv_input(cuda, wide(dy), wide(w), size, *geometry)
    same(cuda, dx, expected, TOLERANCE[dtype if how == "ieee" else how], "dx")


@pytest.mark.parametrize(("dtype", "how", "case"), [*BUILDS, ("float32", "ieee", "splits")])
def test_backward_weight(cuda: Any, precision: Any, dtype: str, how: str, case: str):
    precision(how)
    kernel, geometry = CASES[case][4], CASES[case][5:]
    x, w, _, dy = arrays(cuda, dtype, CASES[case])
    with launcher.recorded() as names:
        dw = cuda.conv_weight(x, dy, kernel, *geometry)
    assert names == ["conv2d_pixels", "conv2d_backward_weight", "conv2d_sum"]
    assert dw.dtype == x.dtype
    assert dw.shape == w.shape
    expected = Reference.conv_weight(cuda, wide(x), wide(dy), kernel, *geometry)
    same(cuda, dw, expected, TOLERANCE[dtype if how == "ieee" else how], "dw")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 5, 7, 9), (2, 3, 1), (5, 2, 40, 45), (9, 3, 17), (4, 1, 5)])
def test_backward_bias(cuda: Any, dtype: str, shape: tuple[int, ...]):
    dy = normal(cuda, dtype, *shape)
    with launcher.recorded() as names:
        db = cuda.conv_bias(dy)
    assert "conv2d_backward_bias" in names
    assert db.dtype == dy.dtype
    same(cuda, db, Reference.conv_bias(cuda, wide(dy)), TOLERANCE[dtype], "db")


@pytest.mark.parametrize("case", ["tiles", "tiles of rows"])
def test_builds_without_asynchronous_copies(cuda: Any, monkeypatch: Any, case: str):
    """What compute capability 7.5 runs, here on a later one."""
    found = importlib.import_module("gpunn.backends.device.convolution")
    monkeypatch.setattr(found, "_capability", lambda: 75)
    (*_, size, kernel, _, _, _, _), geometry = CASES[case], CASES[case][5:]
    x, w, b, dy = arrays(cuda, "float32", CASES[case])
    got = cuda.conv(x, w, b, *geometry), cuda.conv_input(dy, w, size, *geometry)
    expected = (
        Reference.conv(cuda, wide(x), wide(w), wide(b), *geometry),
        Reference.conv_input(cuda, wide(dy), wide(w), size, *geometry),
        Reference.conv_weight(cuda, wide(x), wide(dy), kernel, *geometry),
    )
    for g, e in zip((*got, cuda.conv_weight(x, dy, kernel, *geometry)), expected, strict=True):
        same(cuda, g, e, TOLERANCE["float32"], case)
    x, w, b, dy = arrays(cuda, "bfloat16", CASES["plain"])
    with launcher.recorded() as names:
        cuda.conv(x, w, b, *CASES["plain"][5:])
    assert not names


def test_compute_capability_75():
    """float16 takes other instructions there."""
    reason = gpunn.sim.problem()
    if reason is not None:
        pytest.skip(reason)
    code = """
import numpy as np, gpunn.sim
gpunn.sim.install(arch=75)
from gpunn.backends import cuda_backend, type2backend
from gpunn.backends.launcher import recorded
from gpunn.backends.reference.convolution import ConvolutionPrimitives as Reference
cuda, random = cuda_backend(), np.random.default_rng(0)
x, w = (random.standard_normal(s).astype("f2") for s in ((2, 5, 6, 7), (4, 5, 3, 3)))
geometry = (1, 1), (1, 1), (1, 1), 1
with recorded() as names:
    y = cuda.conv(*map(cuda.from_numpy, (x, w)), None, *geometry)
assert "conv2d_forward" in names
wide = x.astype("f8"), w.astype("f8")
expected = Reference.conv(type2backend[np.ndarray], *wide, None, *geometry)
print(abs(cuda.to_numpy(y) - expected).max() / abs(expected).max())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < TOLERANCE["float16"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_filters_of_one_element_are_a_product(cuda: Any, precision: Any, dtype: str):
    precision("ieee")
    shape = (3, 4, 6, (5, 3), (1, 1), (1, 1), (0, 0), (1, 1), 2)
    x, w, b, dy = arrays(cuda, dtype, shape)
    with launcher.recorded() as names:
        y, dx = cuda.conv(x, w, b, *shape[5:]), cuda.conv_input(dy, w, shape[3], *shape[5:])
        dw = cuda.conv_weight(x, dy, shape[4], *shape[5:])
    ours = dtype == "float16"
    assert ("conv2d_forward" in names) == ("conv2d_backward_data" in names) == ours
    assert "conv2d_backward_weight" in names
    for got, expected in (
        (y, Reference.conv(cuda, wide(x), wide(w), wide(b), *shape[5:])),
        (dx, Reference.conv_input(cuda, wide(dy), wide(w), shape[3], *shape[5:])),
        (dw, Reference.conv_weight(cuda, wide(x), wide(dy), shape[4], *shape[5:])),
    ):
        same(cuda, got, expected, TOLERANCE[dtype], dtype)


@pytest.mark.parametrize("how", ["tf32", "tf32x3"])
def test_filters_of_one_element_keep_to_their_switch(cuda: Any, precision: Any, how: str):
    precision(how)
    shape = (1, 2, 3, (3, 3), (1, 1), (1, 1), (0, 0), (1, 1), 1)
    x, w, b, _ = arrays(cuda, "float32", shape)
    with launcher.recorded() as names:
        y = cuda.conv(x, w, b, *shape[5:])
    assert names == ["conv2d_pack", "conv2d_forward"]
    expected = Reference.conv(cuda, wide(x), wide(w), wide(b), *shape[5:])
    same(cuda, y, expected, TOLERANCE[how], "y")


LEFT = {
    "three dimensions": (1, 2, 3, (3, 4, 3), (2, 2, 2), (1, 1, 1), (0, 1, 0), (1, 1, 1), 1),
    "a filter too high": (1, 2, 3, (17, 3), (16, 2), (1, 1), (0, 0), (1, 1), 1),
    "a filter too wide": (1, 2, 3, (2, 18), (1, 17), (1, 1), (0, 0), (1, 1), 1),
    "no images": (0, 2, 3, (4, 4), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "no channels": (2, 0, 3, (4, 4), (3, 3), (1, 1), (1, 1), (1, 1), 1),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_left_to_the_reference(cuda: Any, case: str):
    _, _, _, size, kernel, *geometry = LEFT[case]
    x, w, b, dy = arrays(cuda, "float32", LEFT[case])
    with launcher.recorded() as names:
        y = cuda.conv(x, w, b, *geometry)
        dx = cuda.conv_input(dy, w, size, *geometry)
        dw = cuda.conv_weight(x, dy, kernel, *geometry)
    assert not names
    assert (y.shape, dx.shape, dw.shape) == (dy.shape, x.shape, w.shape)
    if x.size:
        same(cuda, y, Reference.conv(cuda, wide(x), wide(w), wide(b), *geometry), 1e-6, "y")


def test_through_layers(cuda: Any, precision: Any):
    """A layer on the device has the CPU's output and gradients."""
    precision("ieee")
    results = []
    for device in ("cpu", "cuda"):
        gpunn.manual_seed(0)
        layer = gpunn.nn.Conv2d(3, 8, 5, stride=2, padding="valid", groups=1).to(device)
        x = gpunn.randn(2, 3, 13, 11).to(device).requires_grad_()
        y = layer(x)
        (y * y).sum().backward()
        tensors = (y, x.grad, layer.weight.grad, layer.bias.grad)
        results.append([t.detach().cpu().numpy() for t in tensors])
    for a, b in zip(*results, strict=True):
        compare(b, a, "layer", 1e-5, 1e-4)


# What they move ---------------------------------------------------------------------------------


@pytest.fixture
def profile(cuda: Any) -> Iterator[Profile]:
    """The simulator's counters."""
    if not gpunn.sim.installed():
        pytest.skip("the simulator counts, a GPU does not")
    device = gpunn.sim.install(profile=True)
    device.profile = Profile()
    yield device.profile
    gpunn.sim.install()


MOVED = {
    "float32": "ieee",
    "float16": "ieee",
    "float64": "ieee",
    "tf32": "tf32",
    "tf32x3": "tf32x3",
}


@pytest.mark.parametrize("name", MOVED)
def test_what_is_moved(cuda: Any, precision: Any, profile: Profile, name: str):
    precision(MOVED[name])
    dtype = name if name.startswith("float") else "float32"
    case = (1, 8, 40, (4, 8), (3, 3), (1, 1), (1, 1), (1, 1), 1)
    x, w, _, dy = (a.copy() for a in arrays(cuda, dtype, case))
    cuda.conv(x, w, None, *case[5:])
    cuda.conv_input(dy, w, case[3], *case[5:])
    cuda.conv_weight(x, dy, case[4], *case[5:])
    for kernel in ("forward", "backward_data", "backward_weight"):
        lines = profile.kernel(f"conv2d_{kernel}").lines
        assert any(line.wavefronts for line in lines.values())
        for place, line in lines.items():
            assert line.wavefronts == line.least_wavefronts, f"{kernel}: banks collide at {place}"
    # The gather begins anywhere, and its rows end anywhere; see conv2d.cu for 16-bit results and
    # for the filters, which are read in pieces on the way to the input.
    if name != "float32":
        return
    text = (launcher.sources.folder() / "gemm.cuh").read_text()
    gather = "gemm.cuh", line_of(text, '"cp.async.ca')
    for kernel in ("forward", "backward_data", "backward_weight", "pixels", "sum"):
        lines = dict(profile.kernel(f"conv2d_{kernel}").lines)
        if kernel not in ("pixels", "sum"):
            gathered = lines.pop(gather)
            assert gathered.sectors <= 1.25 * gathered.least_sectors
        for place, line in lines.items():
            assert line.sectors <= 1.1 * line.least_sectors, f"{kernel}: sectors at {place}"
