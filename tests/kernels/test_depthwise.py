"""Depthwise convolution's kernels against the reference, on one device."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from checks import compare

import gpunn
import gpunn.sim
from gpunn.backends.reference.convolution import ConvolutionPrimitives as Reference
from gpunn.backends.reference.window import output_size
from gpunn.sim.profile import SECTOR, Profile

recorded = pytest.importorskip("gpunn.backends.launcher").recorded

# (plane of x, kernel, stride, padding, dilation): every build, and strips cut off at every side.
GEOMETRIES = [
    ((9, 10), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((3, 2), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((17, 5), (3, 3), (1, 1), (0, 2), (1, 1)),
    ((20, 33), (3, 3), (2, 2), (1, 1), (1, 1)),
    ((19, 8), (3, 3), (2, 2), (0, 1), (1, 1)),
    ((3, 4), (3, 3), (2, 2), (2, 0), (1, 1)),
    ((12, 9), (5, 5), (1, 1), (2, 2), (1, 1)),
    ((5, 5), (5, 5), (1, 1), (4, 0), (1, 1)),
    ((17, 12), (5, 5), (2, 2), (2, 2), (1, 1)),
    ((18, 11), (5, 5), (2, 2), (1, 3), (1, 1)),
    ((9, 10), (3, 3), (1, 1), (2, 2), (2, 2)),
    ((9, 10), (3, 3), (2, 2), (1, 1), (2, 1)),
    ((9, 10), (3, 3), (3, 2), (1, 1), (1, 3)),
    ((7, 9), (2, 4), (1, 1), (0, 3), (1, 1)),
    ((1, 30), (1, 3), (1, 1), (0, 1), (1, 1)),
    ((8, 8), (1, 1), (3, 3), (0, 0), (1, 1)),
    ((4, 4), (7, 7), (1, 1), (3, 3), (1, 1)),
    ((30,), (3,), (1,), (1,), (1,)),
    ((31,), (4,), (2,), (3,), (2,)),
]
EACH_BUILD = [GEOMETRIES[i] for i in (2, 4, 7, 9, 12)]  # KERNEL and STRIDE: 31, 32, 51, 52, 0
RTOL = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 1e-6, "float64": 1e-14}
NAMES = (
    ["depthwise2d_forward"],
    ["depthwise2d_backward_data"],
    ["depthwise2d_backward_weight", "depthwise2d_sum_splits"],
)


def normal(cuda: Any, dtype: str, *shape: int, seed: int = 0) -> Any:
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape, "f4")
    return cuda.from_numpy(numbers.astype(getattr(gpunn, dtype).numpy))


def host(cuda: Any, array: Any) -> Any:
    return cuda.to_numpy(array).astype("f8")


@pytest.fixture
def depthwise(cuda: Any) -> Any:
    """A backend that has depthwise convolution, and the reference of it."""
    module = importlib.import_module("gpunn.backends.device.depthwise")
    return module.DeviceDepthwise(cuda.xp)


def all_three(depthwise: Any, x: Any, weight: Any, bias: Any, dy: Any, *options: Any) -> list[Any]:
    """y, dx and dw, each with the names of the kernels launched for it."""
    size, kernel = x.shape[2:], weight.shape[2:]
    found = []
    for compute, arguments in (
        (depthwise.conv, (x, weight, bias)),
        (depthwise.conv_input, (dy, weight, size)),
        (depthwise.conv_weight, (x, dy, kernel)),
    ):
        with recorded() as names:
            found.append((compute(*arguments, *options), names))
    return found


def reference(depthwise: Any, x: Any, weight: Any, bias: Any, dy: Any, *options: Any) -> list[Any]:
    size, kernel = x.shape[2:], weight.shape[2:]
    return [
        Reference.conv(depthwise, x, weight, bias, *options),
        Reference.conv_input(depthwise, dy, weight, size, *options),
        Reference.conv_weight(depthwise, x, dy, kernel, *options),
    ]


def check(
    cuda: Any, depthwise: Any, dtype: str, geometry: Any, n: int, c: int, multiplier: int
) -> None:
    size, kernel, *options = geometry
    out = tuple(map(output_size, size, kernel, *options))
    o = c * multiplier
    arrays = (
        normal(cuda, dtype, n, c, *size),
        normal(cuda, dtype, o, 1, *kernel, seed=1),
        normal(cuda, dtype, o, seed=2) if multiplier > 1 else None,
        normal(cuda, dtype, n, o, *out, seed=3),
    )
    got = all_three(depthwise, *arrays, *options, c)
    expected = reference(depthwise, *arrays, *options, c)
    for (a, launched), b, names in zip(got, expected, NAMES, strict=True):
        assert launched == names
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        a, b = host(cuda, a), host(cuda, b)
        compare(a, b, names[0], RTOL[dtype], RTOL[dtype] * max(1, abs(b).max()))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_every_geometry(cuda: Any, depthwise: Any, geometry: Any) -> None:
    check(cuda, depthwise, "float32", geometry, 2, 2, 3)


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("geometry", EACH_BUILD, ids=str)
def test_every_build(cuda: Any, depthwise: Any, geometry: Any, dtype: str) -> None:
    check(cuda, depthwise, dtype, geometry, 1, 3, 1)


def test_planes_with_more_strips_than_a_block_has_threads(cuda: Any, depthwise: Any) -> None:
    check(cuda, depthwise, "float32", ((20, 130), *GEOMETRIES[0][1:]), 1, 2, 1)


def test_a_weight_whose_sums_are_split(cuda: Any, depthwise: Any) -> None:
    # One channel: all the blocks that a GPU needs come from splitting its sum.
    geometry = ((64, 70), *GEOMETRIES[0][1:])
    check(cuda, depthwise, "float32", geometry, 4, 1, 1)


def test_no_images(cuda: Any, depthwise: Any) -> None:
    x, weight = normal(cuda, "float32", 0, 2, 5, 5), normal(cuda, "float32", 2, 1, 3, 3)
    got = all_three(depthwise, x, weight, None, x, (1, 1), (1, 1), (1, 1), 2)
    assert [a.shape for a, _ in got] == [x.shape, x.shape, weight.shape]
    assert [names for _, names in got] == [[], [], NAMES[2]]
    assert not got[2][0].any()


def test_views_are_read_as_what_they_show(cuda: Any, depthwise: Any) -> None:
    x = normal(cuda, "float32", 2, 6, 9, 4)[:, ::2, :, 1:].transpose(0, 1, 3, 2)
    weight = normal(cuda, "float32", 4, 1, 3, 6)[1:, :, :, ::2]
    dy = normal(cuda, "float32", 3, 2, 3, 9).transpose(1, 0, 2, 3)
    arguments = x, weight, normal(cuda, "float32", 6)[::2], dy, (1, 1), (1, 1), (1, 1), 3
    got = all_three(depthwise, *arguments)
    for (a, launched), b, names in zip(got, reference(depthwise, *arguments), NAMES, strict=True):
        assert launched == names
        np.testing.assert_allclose(host(cuda, a), host(cuda, b), 1e-5, 1e-5)


def test_infinite_and_undefined_elements_reach_what_they_touch(cuda: Any, depthwise: Any) -> None:
    x = normal(cuda, "float32", 1, 1, 12, 12)
    x[0, 0, 0, 0], x[0, 0, 11, 5], x[0, 0, 6, 6] = np.inf, np.nan, -np.inf
    weight = normal(cuda, "float32", 1, 1, 3, 3)
    options = (1, 1), (1, 1), (1, 1), 1
    got = depthwise.conv(x, weight, None, *options)
    expected = Reference.conv(depthwise, x, weight, None, *options)
    np.testing.assert_allclose(host(cuda, got), host(cuda, expected), 1e-5, 1e-5)
    got = depthwise.conv_input(x, weight, (12, 12), *options)
    expected = Reference.conv_input(depthwise, x, weight, (12, 12), *options)
    np.testing.assert_allclose(host(cuda, got), host(cuda, expected), 1e-5, 1e-5)


def test_integers_are_left_to_the_reference(cuda: Any, depthwise: Any) -> None:
    arrays = [cuda.xp.arange(np.prod(s)).reshape(s) for s in ((1, 2, 5, 5), (2, 1, 3, 3), (2,))]
    dy = cuda.xp.ones((1, 2, 3, 3), "i8")
    options = (1, 1), (0, 0), (1, 1), 2
    got = all_three(depthwise, *arrays, dy, *options)
    for (a, launched), b in zip(got, reference(depthwise, *arrays, dy, *options), strict=True):
        assert launched == []
        assert (a == b).all()


def test_other_groups_are_left_alone(cuda: Any, depthwise: Any) -> None:
    x, weight = normal(cuda, "float32", 1, 4, 5, 5), normal(cuda, "float32", 4, 2, 3, 3)
    arguments = x, weight, None, x[..., 1:4, 1:4], (1, 1), (0, 0), (1, 1), 2
    got = all_three(depthwise, *arguments)
    for (a, launched), b in zip(got, reference(depthwise, *arguments), strict=True):
        assert launched == []
        assert (a == b).all()


def test_a_single_channel_with_a_large_kernel_is_a_matrix_product(
    cuda: Any, depthwise: Any
) -> None:
    x, weight = normal(cuda, "float32", 1, 1, 9, 9), normal(cuda, "float32", 2, 1, 7, 7)
    dy = normal(cuda, "float32", 1, 2, 3, 3)
    got = all_three(depthwise, x, weight, None, dy, (1, 1), (0, 0), (1, 1), 1)
    assert [launched for _, launched in got] == [[], NAMES[1], []]


def test_through_conv2d_and_its_gradient(cuda: Any) -> None:
    numbers = [normal(cuda, "float32", *s) for s in ((2, 4, 11, 9), (8, 1, 3, 3), (8,))]
    results = []
    for device in "cpu", "cuda":
        x, weight, bias = (
            gpunn.tensor(host(cuda, v), dtype=gpunn.float32, device=device) for v in numbers
        )
        for v in (x, weight, bias):
            v.requires_grad_()
        with recorded() as names:
            y = gpunn.nn.functional.conv2d(x, weight, bias, 2, 1, groups=4)
            y.square().sum().backward()
        results.append([y, x.grad, weight.grad, bias.grad])
    assert [name for name in names if name.startswith("depthwise")] == [*itertools.chain(*NAMES)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().cpu().numpy(), 1e-5, 1e-4)


# Bytes ------------------------------------------------------------------------------------------


@pytest.fixture
def profile(cuda: Any) -> Iterator[Profile]:
    """The simulator's counters."""
    if not gpunn.sim.installed():
        pytest.skip("the simulator counts, a GPU does not")
    device = gpunn.sim.install(profile=True)
    device.profile = Profile()
    yield device.profile
    gpunn.sim.install()


def test_sectors_per_element(cuda: Any, depthwise: Any, profile: Profile) -> None:
    x, dy = (normal(cuda, "float32", 2, 4, 64, 64, seed=s) for s in range(2))
    weight = normal(cuda, "float32", 4, 1, 3, 3)
    all_three(depthwise, x, weight, None, dy, (1, 1), (1, 1), (1, 1), 4)
    each = x.nbytes // SECTOR  # sectors of one array, once
    for name in "forward", "backward_data":
        lines = [v for v in profile.kernel(f"depthwise2d_{name}").lines.values() if v.sectors]
        gathered, of_weight, stored = lines
        assert stored.sectors == each
        # A strip loads 10 rows for 8, and each element 3 times instead of 9: from the caches all
        # but once. Rows that begin at any element touch a ninth sector now and then.
        assert gathered.sectors <= 1.1 * 3 * 10 / 8 * each * 64 / 63
        assert gathered.sectors <= 1.1 * gathered.least_sectors
        assert of_weight.sectors <= each / 3
    lines = [v for v in profile.kernel("depthwise2d_backward_weight").lines.values() if v.sectors]
    loaded, gathered, _ = lines
    assert loaded.sectors == each
    assert gathered.sectors <= 1.1 * gathered.least_sectors <= 1.1 * 3 * 10 / 8 * each
