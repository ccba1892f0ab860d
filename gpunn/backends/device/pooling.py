"""Pooling by the kernels of ``pooling.cu``: what they cover, and what each block does.

Pooling in one dimension is that of planes with one row.
"""

# pyright: basic, reportMissingImports=false
# CuPy has no types, and need not be there.

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy

from gpunn.backends.launcher import WIDTHS, Source, builds, ceil_div, width
from gpunn.backends.reference.pooling import PoolingPrimitives, Window
from gpunn.backends.reference.window import Ints

POOLING = Source(
    "pooling.cu",
    *(builds(SCALAR=(t,), WIDTH=(1, n), LANES=(1, 32)) for t, n in WIDTHS.items()),
)

_THREADS, _WARP = 256, 32
_TILE = 16 * 1024  # bytes of shared memory for a block: 1024 threads fit any multiprocessor so
_LIMIT = 2**30  # elements of an array in one launch: the kernels count in 32 bits
_MOST_ROWS = 2**16  # of a plane that is fetched
_ROW, _COLUMN = 16, 8  # bytes of a table that the kernels make of a band
_MOST_TABLED = 8 * 1024  # bytes of its rows
_SLACK = 16  # elements; fetches start and end at 16 bytes: at most 7 elements too early, 7 too late


class DevicePooling(PoolingPrimitives):
    """Floating dtypes in one and two dimensions, with int32 indices; the rest is inherited."""

    def max_pool(
        self,
        x: Any,
        out: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        dilation: Ints,
        indices: bool = True,
    ) -> tuple[Any, Any]:
        window = kernel, stride, padding, dilation
        plan = _plan(x, x.shape[-len(out) :], out, window)
        if plan is None:
            return super().max_pool(x, out, *window, indices)
        return self._max_pool(x, out, plan, indices)

    def adaptive_max_pool(self, x: Any, out: Ints) -> tuple[Any, Any]:
        plan = _plan(x, x.shape[-len(out) :], out, None)
        if plan is None:
            return super().adaptive_max_pool(x, out)
        return self._max_pool(x, out, plan, True)

    def max_pool_input(self, dy: Any, indices: Any, size: Ints, window: Window | None) -> Any:
        plan = _plan(dy, size, dy.shape[-len(size) :], window)
        if plan is None or indices.dtype != numpy.int32:
            return super().max_pool_input(dy, indices, size, window)
        dx = self._planes_like(dy, size)
        for dys, found, dxs in self._parts(plan, dy, indices, dx):
            cut, arrays = plan.backward(dys, dxs, found), (dys, found, dxs)
            cut.launch("max_pool2d_backward", arrays, dys.size, dxs.size, cut.room)
        return dx

    def avg_pool(
        self,
        x: Any,
        out: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        count_include_pad: bool,
        divisor: int | None,
    ) -> Any:
        window, mean = (kernel, stride, padding), (count_include_pad, divisor)
        plan = _plan(x, x.shape[-len(out) :], out, (*window, (1,) * len(out)))
        if plan is None or abs(divisor or 0) >= 2**31:
            return super().avg_pool(x, out, *window, *mean)
        return self._avg_pool(x, out, plan, *mean)

    def avg_pool_input(
        self,
        dy: Any,
        size: Ints,
        kernel: Ints,
        stride: Ints,
        padding: Ints,
        count_include_pad: bool,
        divisor: int | None,
    ) -> Any:
        window, mean = (kernel, stride, padding), (count_include_pad, divisor)
        plan = _plan(dy, size, dy.shape[-len(size) :], (*window, (1,) * len(size)))
        if plan is None or abs(divisor or 0) >= 2**31:
            return super().avg_pool_input(dy, size, *window, *mean)
        return self._avg_pool_input(dy, size, plan, *mean)

    def adaptive_avg_pool(self, x: Any, out: Ints) -> Any:
        plan = _plan(x, x.shape[-len(out) :], out, None)
        if plan is None:
            return super().adaptive_avg_pool(x, out)
        return self._avg_pool(x, out, plan, False, None)

    def adaptive_avg_pool_input(self, dy: Any, size: Ints) -> Any:
        plan = _plan(dy, size, dy.shape[-len(size) :], None)
        if plan is None:
            return super().adaptive_avg_pool_input(dy, size)
        return self._avg_pool_input(dy, size, plan, False, None)

    # Launches -------------------------------------------------------------------------------

    def _max_pool(self, x: Any, out: Ints, plan: Plan, indices: bool) -> tuple[Any, Any]:
        y = self._planes_like(x, out)
        found = self.xp.empty(y.shape, numpy.int32) if indices else None
        for xs, ys, places in self._parts(plan, x, y, found):
            cut = plan.forward(xs, ys)
            cut.launch("max_pool2d_forward", (xs, ys, places), xs.size, ys.size)
        return y, found

    def _avg_pool(self, x: Any, out: Ints, plan: Plan, padded: bool, divisor: int | None) -> Any:
        y, divisor = self._planes_like(x, out), divisor or plan.divisor(padded)
        for xs, ys in self._parts(plan, x, y):
            cut = plan.forward(xs, ys)
            cut.launch("avg_pool2d_forward", (xs, ys), xs.size, ys.size, divisor, padded)
        return y

    def _avg_pool_input(
        self, dy: Any, size: Ints, plan: Plan, padded: bool, divisor: int | None
    ) -> Any:
        dx, divisor = self._planes_like(dy, size), divisor or plan.divisor(padded)
        for dys, dxs in self._parts(plan, dy, dx):
            cut = plan.backward(dys, dxs)
            cut.launch(
                "avg_pool2d_backward", (dys, dxs), dys.size, dxs.size, cut.room, divisor, padded
            )
        return dx

    def _planes_like(self, x: Any, size: Ints) -> Any:
        """An array for planes of ``size``, as many as in ``x``."""
        return self.xp.empty((*x.shape[: x.ndim - len(size)], *size), x.dtype)

    def _parts(self, plan: Plan, *arrays: Any) -> Iterator[tuple[Any, ...]]:
        """The arrays, contiguous, by as many planes as a launch can take."""
        ready: list[Any] = [a if a is None else self.xp.ascontiguousarray(a) for a in arrays]
        planes, most = math.prod(ready[0].shape[: -plan.ndim]), _LIMIT // plan.largest
        if planes <= most:
            yield tuple(ready)
            return
        flat = [a if a is None else a.reshape(planes, -1) for a in ready]
        for i in range(0, planes, most):
            yield tuple(a if a is None else a[i : i + most] for a in flat)


# How a launch is cut ------------------------------------------------------------------------

_DIVISOR = numpy.dtype([("value", "i4"), ("multiplier", "u4"), ("shift", "i4")])
_LINE = numpy.dtype(
    [(name, _DIVISOR) for name in ("size", "out", "stride")]
    + [(name, "i4") for name in ("kernel", "padding", "dilation")]
)


def _divisor(value: int) -> tuple[int, int, int]:
    shift = max(value - 1, 0).bit_length()
    return value, 2 ** (31 + shift) // max(value, 1) + 1, shift


class Line(NamedTuple):
    """The windows along one dimension; ``kernel`` 0: adaptive ones."""

    size: int
    out: int
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def struct(self) -> Any:
        """As the kernels take it."""
        size, out, kernel, stride, padding, dilation = self
        values = *map(_divisor, (size, out, stride)), kernel, padding, dilation
        return numpy.array(values, _LINE)[()]

    def seen(self) -> tuple[Any, Any]:
        """For each window, the first element that it may look at, and the first after all."""
        i = numpy.arange(self.out)
        if not self.kernel:
            return i * self.size // self.out, -(-(i + 1) * self.size // self.out)
        starts = i * self.stride - self.padding
        ends = numpy.minimum(starts + (self.kernel - 1) * self.dilation + 1, self.size)
        return numpy.maximum(starts, 0), ends

    def holders(self) -> tuple[Any, Any]:
        """For each element, the first window that may hold it, and the first after all."""
        i = numpy.arange(self.size)
        if not self.kernel:
            return i * self.out // self.size, -(-(i + 1) * self.out // self.size)
        past = i + self.padding - (self.kernel - 1) * self.dilation
        ends = numpy.minimum((i + self.padding) // self.stride + 1, self.out)
        return numpy.maximum(-(-past // self.stride), 0), ends

    def count(self, padded: bool) -> int:
        """How many elements a mean counts in each window; 0 where windows differ."""
        size, out, kernel, stride, padding, _ = self
        if not kernel:
            return 0 if not out or size % out else size // out
        inside = (out - 1) * stride + kernel <= size + padding + padded * padding
        return kernel if inside and (padded or not padding) else 0


class Cut(NamedTuple):
    """A build, the elements of its output that a block makes, and the shared memory for that."""

    build: dict[str, Any]
    lines: tuple[Any, Any]
    band: int
    room: int = 0  # elements of a tile
    shared: int = 0  # bytes of all tiles

    def launch(
        self, name: str, arrays: tuple[Any, ...], n: int, outputs: int, *options: Any
    ) -> None:
        """Launch the kernel ``name``, which makes ``outputs`` elements of ``n``."""
        POOLING(name, **self.build)(
            (ceil_div(outputs, self.band),),
            (_THREADS,),
            *(*arrays, n, outputs, self.band, *options, *self.lines),
            shared=self.shared,
        )


class Plan:
    """Pooling over planes of one size by windows of one kind."""

    def __init__(self, lines: list[Line]) -> None:
        self.ndim = len(lines)
        self._rows, self._columns = [Line(1, 1, 1), *lines][-2:]
        self._structs = self._rows.struct(), self._columns.struct()
        self._size, self._out = (math.prod(x[d] for x in lines) for d in (0, 1))
        self.largest = max(self._size, self._out, 1)

    def forward(self, x: Any, y: Any) -> Cut:
        """How y is made of x."""
        # Where windows share little a warp adds up one: that is parallel, and reads in a row.
        lanes = _WARP if self._size >= _WARP * self._out else 1
        return self._cut(False, lanes, x, y)

    def backward(self, dy: Any, dx: Any, found: Any = None) -> Cut:
        """How dx is made of dy, and found."""
        return self._cut(True, 1, dy, dx, found)

    def divisor(self, padded: bool) -> int:
        """What all sums are divided by to be means; 0 where windows differ."""
        return math.prod(line.count(padded) for line in (self._rows, self._columns))

    def _cut(self, backward: bool, lanes: int, x: Any, y: Any, found: Any = None) -> Cut:
        each = x.itemsize + (0 if found is None else found.itemsize)
        band, room = self._band(backward, _TILE // each, _TILE // x.itemsize)
        wide = width(WIDTHS[x.dtype.name], x, y)
        if not band or (found is not None and width(4, found) == 1):
            wide = 1
        build = {"SCALAR": x.dtype.name, "WIDTH": wide, "LANES": lanes}
        if wide == 1:
            return Cut(build, self._structs, _THREADS // lanes)
        shared = room * each
        if backward:
            length = self._columns.size
            shared += band // length * _ROW + length * _COLUMN
        return Cut(build, self._structs, band, room, shared)

    @functools.lru_cache(1024)  # noqa: B019  (plans live on in a cache themselves)
    def _band(self, backward: bool, fetched: int, made: int) -> tuple[int, int]:
        """The elements of a block's rows, and those that it fetches: no more than these two.

        As many whole rows as that allows wherever they begin; (0, 0) where it does not allow one.
        """
        rows, columns = self._rows, self._columns
        if max(rows.size, rows.out) > _MOST_ROWS:
            return 0, 0
        firsts, lasts = rows.holders() if backward else rows.seen()
        period, pitch, length = rows.out, columns.out, columns.size
        if not backward:
            period, pitch, length = rows.size, columns.size, columns.out

        def needed(n: int) -> int:
            plane, row = numpy.divmod(numpy.arange(len(firsts)) + n - 1, len(firsts))
            reach = int((plane * period + lasts[row] - firsts).max(initial=0))
            return (reach * pitch + 2 * _SLACK - 1) // _SLACK * _SLACK

        low, high = 0, made // max(length, 1) + 1  # rows that fit, and that do not
        if backward:
            high = min(high, _MOST_TABLED // _ROW + 1) if length * _COLUMN <= _TILE else 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if needed(middle) <= fetched else (low, middle)
        return low * length, needed(low) if low else 0


def _plan(x: Any, size: Ints, out: Ints, window: Window | None) -> Plan | None:
    """The plan for planes of ``size`` and ``out``; None where the kernels do not reach."""
    if x.dtype.name not in WIDTHS or len(size) > 2:
        return None
    return _planned(tuple(size), tuple(out), window)


@functools.lru_cache(1024)
def _planned(size: Ints, out: Ints, window: Window | None) -> Plan | None:
    lines = [Line(*line) for line in zip(size, out, *(window or ()), strict=True)]
    for n, m, k, s, p, d in lines:
        if (n + 1) * (m + 1) >= 2**31 if k == 0 else k * d + s + p >= _LIMIT:
            return None
    plan = Plan(lines)
    return plan if plan.largest <= _LIMIT else None
