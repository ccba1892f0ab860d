"""Softmax and cross-entropy by CUDA kernels: their forms, and how blocks share the lines."""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import functools
import math
from typing import Any

from gpunn.backends.launcher import WIDTHS, Source, builds, ceil_div, width
from gpunn.backends.reference.softmax import SoftmaxPrimitives

SOFTMAX = Source(
    "softmax.cu", *(builds(SCALAR=(scalar,), WIDTH=(1, w)) for scalar, w in WIDTHS.items())
)
_SHARED = 40 * 1024  # bytes of a block; with the kernels' own 4 KB less than any GPU grants unasked
_TILE = 4608  # elements of a tile of several planes, at most


class DeviceSoftmax(SoftmaxPrimitives):
    """One kernel each, which moves every element once each way."""

    def softmax(self, x: Any, axis: int) -> Any:
        if not _covered(axis, x):
            return super().softmax(x, axis)
        return self._along("softmax_forward", axis, x)

    def softmax_input(self, dy: Any, y: Any, axis: int) -> Any:
        if not _covered(axis, dy, y):
            return super().softmax_input(dy, y, axis)
        return self._along("softmax_backward", axis, dy, y)

    def log_softmax(self, x: Any, axis: int) -> Any:
        if not _covered(axis, x):
            return super().log_softmax(x, axis)
        return self._along("log_softmax_forward", axis, x)

    def log_softmax_input(self, dy: Any, y: Any, axis: int) -> Any:
        if not _covered(axis, dy, y):
            return super().log_softmax_input(dy, y, axis)
        return self._along("log_softmax_backward", axis, dy, y)

    def fuses_cross_entropy(self, x: Any) -> bool:
        return True

    def cross_entropy(
        self,
        x: Any,
        classes: Any,
        weight: Any,
        ignore: int,
        mean: bool,
        smoothing: float,
        axis: int,
        gradient: bool,
    ) -> tuple[Any, Any]:
        if not _covered(axis, x) or (weight is not None and weight.dtype != x.dtype):
            rest = weight, ignore, mean, smoothing, axis, gradient
            return super().cross_entropy(x, classes, *rest)
        xp, x = self.xp, self.xp.ascontiguousarray(x)
        classes = xp.ascontiguousarray(classes)
        scale, dx = None, xp.empty_like(x) if gradient else None
        if weight is not None:
            weight = xp.ascontiguousarray(weight)
        if mean:
            kept = classes != ignore
            counts = kept if weight is None else xp.where(kept, weight[classes], 0)
            scale = xp.reciprocal(counts.sum(dtype=x.dtype))
        losses = xp.zeros(classes.shape, x.dtype)  # those that the kernel leaves out
        even = smoothing / x.shape[axis]
        arguments = x, classes, weight, scale, losses, dx, ignore, smoothing, even
        _launch("cross_entropy", axis, (x,), arguments)
        loss = losses.sum()
        return loss if scale is None else loss * scale, dx

    def rescaled(self, dx: Any, dy: Any) -> Any:
        if not _covered(dx.ndim, dx) or dy.dtype != dx.dtype or not dx.flags.c_contiguous:
            return super().rescaled(dx, dy)
        wide = width(WIDTHS[dx.dtype.name], dx, dy)
        kernel = SOFTMAX("cross_entropy_backward", SCALAR=dx.dtype, WIDTH=wide)
        kernel((ceil_div(dx.size, 2048),), (256,), dx, dx.size, dy)
        return dx

    def _along(self, name: str, axis: int, *inputs: Any) -> Any:
        inputs = tuple(map(self.xp.ascontiguousarray, inputs))
        result = self.xp.empty_like(inputs[0])
        _launch(name, axis, inputs, (*inputs, result))
        return result


def _covered(axis: int, *arrays: Any) -> bool:
    first = arrays[0]
    same = all(a.shape == first.shape and a.dtype == first.dtype for a in arrays)
    counted = math.prod(first.shape[axis:]) < 2**31  # the kernels count a plane in an int
    return same and first.dtype.name in WIDTHS and first.size > 0 and counted


def _launch(name: str, axis: int, inputs: tuple[Any, ...], arguments: tuple[Any, ...]) -> None:
    """Launch the kernel of that name, in the form that suits lines along ``axis`` of the inputs.

    Which threads work on a line depends on its length and on the distance of its elements alone;
    so the bits of its sums do not depend on what else there is.
    """
    x = inputs[0]
    outer, size, inner = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    each = len(inputs) * max(4, x.dtype.itemsize)  # bytes of an element in shared memory
    sector = 32 // x.dtype.itemsize
    plane, slack = size * inner, 2 * sector
    if (plane + slack) * each <= _SHARED:
        planes, threads, team = _tile(outer, size, inner, sector)
        alike = [a for a in arguments if type(a) is type(x) and a.dtype == x.dtype]
        wide = width(WIDTHS[x.dtype.name], *alike)
        kernel = SOFTMAX(name + "_tile", SCALAR=x.dtype, WIDTH=wide)
        grid, shared = ceil_div(outer, planes), (planes * plane + slack) * each
        kernel((grid,), (threads,), *arguments, outer, size, inner, planes, team, shared=shared)
    else:
        abreast, threads = min(32, _power(inner)), 512 if inner == 1 else 256
        shared = ceil_div(size * abreast, threads) * threads * each
        keep = shared <= _SHARED
        kernel = SOFTMAX(name + "_far", SCALAR=x.dtype, WIDTH=1)
        grid, shared = outer * ceil_div(inner, abreast), shared if keep else 0
        kernel((grid,), (threads,), *arguments, size, inner, abreast, keep, shared=shared)


@functools.lru_cache(256)
def _tile(outer: int, size: int, inner: int, sector: int) -> tuple[int, int, int]:
    """How many planes a block has, how many threads, and how many of them work on a line."""
    plane = size * inner
    most = max(1, _TILE // plane)
    if inner > 1:
        team = min(32, _power(max(1, 256 // (most * inner))))
    elif size <= 1024:
        # 4 elements for each thread of short lines: with more, they meet in shared memory's banks.
        team = min(32, max(1, _power(size // 4 + 1) // 2))
    else:
        team = 128 if size <= 2048 else 256 if size <= 4096 else 512
    # Blocks for any GPU, of not much less than 512 elements, that begin with a sector.
    planes = min(most, max(outer // 512, ceil_div(512, plane)))
    whole = sector // math.gcd(plane, sector)
    if whole <= most:
        planes = ceil_div(planes, whole) * whole
    threads = team if team > 32 else min(256, ceil_div(planes * inner * team, 32) * 32)
    return planes, threads, team


def _power(n: int) -> int:
    """The least power of 2 that is not below n."""
    return 1 << (n - 1).bit_length()
