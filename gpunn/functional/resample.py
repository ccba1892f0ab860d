"""Images at another size, and images seen through a grid of points."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import wrap
from gpunn.functional.arguments import ntuple
from gpunn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from gpunn.ops.choice import clamp, where
from gpunn.ops.common import constant, local, need_tensor, xp_of
from gpunn.ops.indexing import Index
from gpunn.ops.matmul import matmul
from gpunn.ops.pointwise import abs, floor, round

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_DIMS = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "area": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
}


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """(N, C, *size) at another size, or so many times as large.

    ``mode``: nearest, nearest-exact, area, linear (1 dimension), bilinear, bicubic (2), trilinear
    (3). ``align_corners``: corner pixels' centres stay where they are, else the corners do.
    ``antialias`` raises NotImplementedError. As ``torch.nn.functional.interpolate``.
    """
    need_tensor("interpolate", input)
    n = input.data.ndim - 2
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not supported")
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | "
                "bilinear | bicubic | trilinear"
            )
        align_corners = False
    if (size is None) == (scale_factor is None):
        which = "either" if size is None else "only one of"
        raise ValueError(f"{which} size or scale_factor should be defined")
    old = list(input.data.shape[2:])
    factors: list[float] | None = None
    if scale_factor is not None:
        factors = _each(scale_factor, old, "scale_factor")
        new = [math.floor(float(m) * f) for m, f in zip(old, factors, strict=True)]
        if recompute_scale_factor:
            factors = None
    else:
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        new = [int(m) for m in _each(size, old, "output size")]
    if 1 <= n <= 3 and mode in ("linear", "bilinear", "trilinear") and n not in _DIMS[mode]:
        raise NotImplementedError(
            f"Got {n + 2}D input, but {mode} mode needs {_DIMS[mode][0] + 2}D input"
        )
    if mode not in _DIMS or n not in _DIMS[mode]:
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.data.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear "
            f"| area | nearest-exact (got {mode})"
        )
    if min(new) < 1:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input (H: {old[0]}) output "
            f"(H: {new[0]})"
        )
    if mode == "area":
        pools: Any = adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
        return pools[n - 1](input, tuple(new))
    y = input
    for d in range(n):
        step = old[d] / new[d] if factors is None else 1 / factors[d]
        if mode in ("nearest", "nearest-exact"):
            wide = input.data.dtype == numpy.float64
            places, weights = _nearest(mode, old[d], new[d], step, n, wide), None
        else:
            places, weights = _taps(mode, old[d], new[d], step, bool(align_corners))
        y = _sampled(y, d + 2, places, weights)
    return y


def _each(value: Any, size: list[int], name: str) -> list[Any]:
    """One for each dimension of an input of this spatial ``size``."""
    given = ntuple(value, len(size))
    if len(given) != len(size):
        what, form = (
            ("output", "output size in (o1, o2, ...,oK)")
            if name == "output size"
            else (name, "scale_factor in (s1, s2, ...,sK)")
        )
        shape = " shape" if name == "scale_factor" else ""
        raise ValueError(
            f"Input and {what} must have the same number of spatial dimensions, but got input with "
            f"spatial dimensions of {size} and {name} of{shape} {value}. Please provide input "
            f"tensor in (N, C, d1, d2, ...,dK) format and {form} format."
        )
    return list(given)


def _nearest(mode: str, old: int, new: int, step: float, n: int, wide: bool) -> Any:
    """For each of ``new`` pixels the nearest of ``old``: (1, new); rounded as PyTorch's kernels.

    Those of two dimensions compute in float32 also what is ``wide``, and take an equal or doubled
    size for what it is, whatever the factor was.
    """
    if mode == "nearest" and n == 2 and new in (old, 2 * old):
        return (numpy.arange(new) // (new // old))[None]
    kind = numpy.float64 if wide and n != 2 else numpy.float32
    centres = numpy.arange(new) + (0.5 if mode == "nearest-exact" else 0)
    source = numpy.floor((centres.astype(kind) * kind(step)).astype(numpy.float32))
    return numpy.minimum(source, old - 1)[None].astype(int)


def _taps(mode: str, old: int, new: int, step: float, aligned: bool) -> tuple[Any, Any]:
    """For each of ``new`` pixels the ``old`` ones it is made of, and their weights: (taps, new)."""
    at = numpy.arange(new, dtype=numpy.float64)
    source = at * ((old - 1) / (new - 1) if new > 1 else 0) if aligned else (at + 0.5) * step - 0.5
    if mode == "bicubic":
        first = numpy.floor(source)
        places = first + numpy.arange(-1, 3)[:, None]
        weights = numpy.stack(_cubic(source - first))
    else:
        source = numpy.maximum(source, 0)
        first = numpy.minimum(numpy.floor(source), old - 1)
        places = first + numpy.arange(2)[:, None]
        weights = numpy.stack([1 - (source - first), source - first])
    return numpy.clip(places, 0, old - 1).astype(int), weights


def _cubic(t: Any) -> list[Any]:
    """The weights of neighbours at distances 1 + t, t, 1 - t, 2 - t. R. Keys, 1981, a = -3/4."""
    a = -0.75

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _sampled(x: Tensor, dim: int, places: Any, weights: Any) -> Tensor:
    """Along ``dim`` Σ weights[k] x[places[k]]."""
    lead = (slice(None),) * dim
    if weights is None:
        return Index.apply(x, (*lead, constant(x, places[0])))
    total: Any = None
    for place, weight in zip(places, weights, strict=True):
        column = weight.astype(x.data.dtype).reshape(-1, *(1,) * (x.data.ndim - dim - 1))
        part = Index.apply(x, (*lead, constant(x, place))) * wrap(constant(x, column))
        total = part if total is None else total + part
    return total


# Through a grid -----------------------------------------------------------------------------


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The points (N, H, W, 2), or (N, D, H, W, 3), that matrices ``theta`` (N, 2, 3) make of a
    regular grid in [-1, 1]; for ``grid_sample``. M. Jaderberg et al., 2015.
    """
    align_corners = _aligned("affine_grid", align_corners)
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    n = len(size) - 2
    if n not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {tuple(size)}."
        )
    if theta.data.shape[1:] != (n, n + 1):
        raise ValueError(
            f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size "
            f"{tuple(size)}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError("Expected non-zero, positive output size. Got " + str(tuple(size)))
    axes: list[Any] = []
    for m in size[2:]:
        line = numpy.linspace(-1, 1, m) if m > 1 else numpy.zeros(1)
        axes.append(line if align_corners else line * (m - 1) / m)
    mesh = numpy.meshgrid(*axes, indexing="ij")[::-1]  # x first
    points = numpy.stack([*mesh, numpy.ones_like(mesh[0])], -1).reshape(-1, n + 1)
    base = wrap(constant(theta, points.astype(theta.data.dtype)))
    return matmul(base, theta.transpose(1, 2)).reshape(size[0], *size[2:], n)


def _aligned(name: str, given: bool | None) -> bool:
    if given is None:
        warnings.warn(
            f"Default {name} and affine_grid behavior has changed to align_corners=False since "
            "1.3.0. Please specify align_corners=True if the old behavior is desired. See the "
            f"documentation of {name} for details.",
            stacklevel=3,
        )
    return bool(given)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """(N, C, H, W) seen at the points ``grid`` (N, Ho, Wo, 2), x then y, in [-1, 1] -> (N, C, Ho,
    Wo); or (N, C, D, H, W) at (N, Do, Ho, Wo, 3).

    ``mode``: bilinear, nearest, bicubic (2 dimensions); ``padding_mode`` beyond the edge: zeros,
    border, reflection. M. Jaderberg et al., 2015.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    aligned = _aligned("grid_sample", align_corners)
    n, shape = input.data.ndim - 2, input.data.shape
    _check_grid(shape, grid.data.shape, n, mode)
    sizes = shape[:1:-1]  # x belongs to the last dimension
    spots = [_unnormalized(grid[..., d], m, aligned) for d, m in enumerate(sizes)]
    if mode != "bicubic":
        spots = [_inside(s, m, padding_mode, aligned) for s, m in zip(spots, sizes, strict=True)]
    if mode == "nearest":
        return _look(input, [round(s.detach()) for s in spots])
    firsts = [floor(s.detach()) for s in spots]
    fractions = [s - f for s, f in zip(spots, firsts, strict=True)]
    cubic = mode == "bicubic"
    weights: list[list[Any]] = [_cubic(t) if cubic else [1 - t, t] for t in fractions]
    total: Any = None
    for choice in numpy.ndindex(*(len(w) for w in weights)):
        places = [f + (k - cubic) for f, k in zip(firsts, choice, strict=True)]
        if cubic:
            places = [
                _inside(p, m, padding_mode, aligned) for p, m in zip(places, sizes, strict=True)
            ]
        weight: Any = 1
        for w, k in zip(weights, choice, strict=True):
            weight = w[k] * weight
        part = _look(input, places) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def _check_grid(x: Any, grid: Any, n: int, mode: str) -> None:
    if x[0] != grid[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {list(x)} and grid with sizes {list(grid)}"
        )
    if grid[-1] != n:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {n} in last dimension, but got grid with "
            f"sizes {list(grid)}"
        )
    if n not in (2, 3) or len(grid) != n + 2:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {list(x)} and grid with sizes {list(grid)}"
        )
    if 0 in x[2:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
            f"sizes {list(x)} with dimension {list(x).index(0, 2)} being empty"
        )
    if mode == "bicubic" and n == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


def _unnormalized(x: Tensor, size: int, aligned: bool) -> Tensor:
    """From [-1, 1] to pixels."""
    return (x + 1) * ((size - 1) / 2) if aligned else ((x + 1) * size - 1) / 2


def _inside(x: Tensor, size: int, padding: str, aligned: bool) -> Tensor:
    """A place beyond the edge, moved to where its value comes from; zeros stay outside."""
    if padding == "zeros":
        return x
    if padding == "reflection":
        low, span = (0.0, size - 1.0) if aligned else (-0.5, float(size))
        if span == 0:
            x = x * 0
        else:
            away = abs(x - low)
            turns = floor(away.detach() / span)
            rest = away - turns * span
            x = where(turns % 2 == 0, rest, span - rest) + low
    return clamp(x, 0, size - 1)


@local
def _look(x: Tensor, places: list[Tensor]) -> Tensor:
    """x at whole places (x first), 0 outside: (N, C, *out)."""
    xp, sizes = xp_of(x), x.data.shape[2:]
    spots = [p.data for p in reversed(places)]
    seen = xp.ones(spots[0].shape, bool)
    index: list[Any] = []
    for spot, m in zip(spots, sizes, strict=True):
        seen &= (spot >= 0) & (spot <= m - 1)
        index.append(xp.clip(xp.nan_to_num(spot), 0, m - 1).astype(xp.int64))
    batch = xp.arange(len(x.data)).reshape(-1, *(1 for _ in sizes))
    values = Index.apply(x.movedim(1, -1), (batch, *index)).movedim(-1, 1)
    return where(wrap(seen[:, None]), values, 0.0)
