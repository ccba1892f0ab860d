"""init: values, bounds and moments, PyTorch's refusals; random values from gpunn's stream."""

import math

import numpy as np
import pytest
from parity import same

import gpunn
from gpunn import nn
from gpunn.nn import init

FANS = [((300, 200), (200, 300)), ((40, 30, 5, 10), (1500, 2000)), ((60, 20, 50), (1000, 3000))]


def _values(fill, *args, shape=(300, 200), **kwargs):
    weight = nn.Parameter(gpunn.full(shape, 77.0))
    assert fill(weight, *args, **kwargs) is weight
    assert weight.requires_grad
    assert weight.grad_fn is None
    return weight.detach().numpy()


def _check_uniform(values, bound):
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.999 * bound
    _check_moments(values, bound / math.sqrt(3))


def _check_moments(values, std, mean=0.0):
    """Within 5 standard errors."""
    n = values.size
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(n)
    assert abs(values.var() - std**2) < 5 * std**2 * math.sqrt(2 / n)


@pytest.mark.parametrize(("shape", "fans"), FANS)
def test_fans(shape, fans):
    assert init._calculate_fan_in_and_fan_out(gpunn.zeros(shape)) == fans
    same(lambda lib: lib.nn.init._calculate_fan_in_and_fan_out(lib.zeros(shape)))


@pytest.mark.parametrize(("shape", "fans"), FANS)
def test_xavier(shape, fans):
    std = math.sqrt(2 / sum(fans))
    _check_uniform(_values(init.xavier_uniform_, shape=shape), math.sqrt(3) * std)
    _check_uniform(_values(init.xavier_uniform_, 2.0, shape=shape), math.sqrt(3) * std * 2)
    _check_moments(_values(init.xavier_normal_, shape=shape), std)


@pytest.mark.parametrize(("shape", "fans"), FANS)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
def test_kaiming(shape, fans, mode):
    fan = fans[mode == "fan_out"]
    std = math.sqrt(2 / fan)
    _check_uniform(_values(init.kaiming_uniform_, 0, mode, shape=shape), math.sqrt(3) * std)
    _check_moments(_values(init.kaiming_normal_, 0, mode, "relu", shape=shape), std)
    gentle = _values(init.kaiming_uniform_, math.sqrt(5), mode, shape=shape)
    _check_uniform(gentle, 1 / math.sqrt(fan))  # the default of linear and convolution layers


def test_plain_distributions():
    _check_moments(_values(init.uniform_, -1.0, 3.0), 4 / math.sqrt(12), 1.0)
    _check_moments(_values(init.normal_, 2.0, 0.5), 0.5, 2.0)


def test_constants():
    assert (_values(init.constant_, 0.25) == 0.25).all()
    assert (_values(init.ones_) == 1).all()
    assert (_values(init.zeros_) == 0).all()
    for shape in ((3, 3), (2, 4), (4, 2)):
        same(lambda lib, s=shape: lib.nn.init.eye_(lib.full(s, 7.0)))


@pytest.mark.parametrize(("a", "b"), [(-2.0, 2.0), (0.0, 1.0), (1.5, 4.0), (-9.0, 9.0)])
def test_trunc_normal(a: float, b: float):
    mean, std = 0.5, 1.5
    values = _values(init.trunc_normal_, mean, std, a, b)
    assert values.min() >= a
    assert values.max() <= b
    x = np.linspace(a, b, 100_001)
    density = np.exp(-(((x - mean) / std) ** 2) / 2)
    density /= density.sum()
    expected = (x * density).sum()
    spread = math.sqrt(((x - expected) ** 2 * density).sum())
    assert abs(values.mean() - expected) < 5 * spread / math.sqrt(values.size)
    assert values.std() == pytest.approx(spread, rel=0.02)


def test_trunc_normal_far_from_its_mean():
    def scenario(lib):
        with pytest.warns(UserWarning, match="mean is more than 2 std from") as caught:
            values = lib.nn.init.trunc_normal_(lib.zeros(1000), 0.0, 1.0, 3.0, 4.0)
        assert lib is not gpunn or caught[0].filename == __file__
        return bool(((values >= 3) & (values <= 4)).all()), str(caught[0].message)

    assert same(scenario)[0]


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3, 2)])
def test_orthogonal(shape):
    flat = _values(init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1)
    small = flat @ flat.T if flat.shape[0] < flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)


def test_orthogonal_of_nothing():
    assert init.orthogonal_(gpunn.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(4, 2, 3), (2, 4, 3, 3), (6, 3, 3, 2), (2, 2, 3, 3, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_dirac(shape, groups):
    same(lambda lib: lib.nn.init.dirac_(lib.full(shape, 7.0), groups))


def test_gains():
    for name in ("linear", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "selu"):
        same(lambda lib, n=name: lib.nn.init.calculate_gain(n))
    for slope in (None, 0, 0.2, 1):
        same(lambda lib, s=slope: lib.nn.init.calculate_gain("leaky_relu", s))


MISTAKES = [
    lambda lib: lib.nn.init.calculate_gain("swish"),
    lambda lib: lib.nn.init.calculate_gain("leaky_relu", True),
    lambda lib: lib.nn.init.calculate_gain("leaky_relu", "text"),
    lambda lib: lib.nn.init.xavier_uniform_(lib.zeros(3)),
    lambda lib: lib.nn.init.kaiming_normal_(lib.zeros(3)),
    lambda lib: lib.nn.init.kaiming_normal_(lib.zeros(3, 3), mode="fan"),
    lambda lib: lib.nn.init.eye_(lib.zeros(3)),
    lambda lib: lib.nn.init.orthogonal_(lib.zeros(3)),
    lambda lib: lib.nn.init.dirac_(lib.zeros(3, 3)),
    lambda lib: lib.nn.init.dirac_(lib.zeros(3, 3, 3), 2),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_pytorchs_words(mistake):
    assert same(mistake)[0] == "ValueError"


@pytest.mark.parametrize("fill", [init.kaiming_uniform_, init.kaiming_normal_])
def test_empty_tensors_warn(fill):
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        assert fill(gpunn.zeros(0, 3)).shape == (0, 3)


RANDOM = [
    init.uniform_,
    init.normal_,
    init.trunc_normal_,
    init.xavier_uniform_,
    init.xavier_normal_,
    init.kaiming_uniform_,
    init.kaiming_normal_,
    init.orthogonal_,
]


@pytest.mark.parametrize("fill", RANDOM)
def test_values_come_from_the_stream(fill, device: str):
    gpunn.manual_seed(3)
    first = fill(gpunn.zeros(4, 5, device=device))
    second = fill(gpunn.zeros(4, 5, device=device))
    gpunn.manual_seed(3)
    again = fill(gpunn.zeros(4, 5))
    other = fill(gpunn.zeros(4, 5), generator=gpunn.Generator().manual_seed(3))
    assert not gpunn.equal(first, second)
    np.testing.assert_allclose(first.cpu().numpy(), again.numpy(), rtol=1e-5, atol=1e-6)
    assert gpunn.equal(again, other)


@pytest.mark.parametrize("fill", RANDOM)
@pytest.mark.parametrize("dtype", [gpunn.float16, gpunn.float64])
def test_other_dtypes(fill, dtype):
    weight = fill(gpunn.zeros(4, 5, dtype=dtype))
    assert weight.dtype == dtype
    assert bool(weight.isfinite().all())
    assert weight.std().item() > 0


@pytest.mark.parametrize("sparsity", [0, 0.35, 0.5, 1, 1.5, -0.5])
def test_sparse(sparsity, device):
    weight = init.sparse_(gpunn.full((10, 40), 7.0, device=device), sparsity, 0.1).cpu().numpy()
    zeros = min(max(math.ceil(sparsity * 10), 0), 10)
    assert ((weight == 0).sum(0) == zeros).all()
    if 0 <= zeros < 10:
        assert np.std(weight[weight != 0]) == pytest.approx(0.1, rel=0.3)
    same(lambda lib: lib.nn.init.sparse_(lib.ones(3), 0.1))
    same(lambda lib: list(lib.nn.init.sparse_(lib.ones(3, 0), 0.1).shape))
