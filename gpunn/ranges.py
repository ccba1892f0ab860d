"""Sequences by formula: logarithmic ranges, powers, the windows of signal processing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Variable
from gpunn.creation import Where, as_tensor, finished, need_number, place_of
from gpunn.dtype import as_dtype, dtype, get_default_dtype
from gpunn.ops.common import broadcast_shapes as _broadcast
from gpunn.ops.factory import factory, filling
from gpunn.ops.joining import flip, stack
from gpunn.values import Size

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def _from_host(
    values: Any, kind: Any, device: Where, requires_grad: bool, default: dtype | None = None
) -> Tensor:
    where, backend = place_of(device)
    chosen = (default or get_default_dtype()) if kind is None else as_dtype(kind)
    with backend.on(where):
        array = numpy.asarray(values).astype(chosen.numpy)
        return finished(backend.from_numpy(array), requires_grad)


@filling
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """``base ** e`` of ``steps`` equally spaced e from ``start`` to ``end``, both included."""
    start, end = need_number("logspace", "start", start), need_number("logspace", "end", end)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    return _from_host(
        numpy.power(float(base), numpy.linspace(start, end, steps)), dtype, device, requires_grad
    )


@filling
def range(
    start: float = 0,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Where = None,
    requires_grad: bool = False,
) -> Tensor:
    """``start, start + step, ...`` up to ``end``, which is included; float. Better: ``arange``."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = math.floor((end - start) / step) + 1
    return _from_host(start + step * numpy.arange(count), dtype, device, requires_grad)


@factory
def scalar_tensor(
    s: float, *, dtype: Any = None, device: Where = None, requires_grad: bool = False
) -> Tensor:
    """A 0-d tensor, of the default float unless told."""
    return _from_host(s, dtype, device, requires_grad)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Where = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """``obj`` as a tensor, sharing memory where it can, unless ``copy``."""
    made = as_tensor(obj, dtype, device)
    shares = isinstance(obj, (Variable, numpy.ndarray))
    if copy and shares:
        made = made.detach().clone()
    if copy is False and not shares:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    return made.requires_grad_(requires_grad) if requires_grad else made


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which ``shapes`` (or sizes) broadcast.

    Raises RuntimeError where there is none.
    """
    result: tuple[int, ...] = ()
    for i, given in enumerate(shapes):
        shape = (given,) if isinstance(given, int) else tuple(given)
        for d, n in enumerate(reversed(shape), 1):
            m = result[-d] if d <= len(result) else 1
            if n != m and n != 1 and m != 1:
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {n} at {-d}! Mismatching "
                    f"argument at index {i} had {given}; but expected shape should be "
                    f"broadcastable to {list(result)}"
                )
        result = _broadcast(result, shape)
    return Size(result)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803
    """The powers of a vector as columns, (n,) -> (n, N): falling, or ``increasing`` from 0."""
    if x.data.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = x.data.shape[0] if N is None else N
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    powers = [x * 0 + 1]
    for _ in numpy.arange(1, count):
        powers.append(powers[-1] * x)
    if not count:
        return x.new_empty((x.data.shape[0], 0))
    table = stack(powers, 1)
    return table if increasing else flip(table, 1)


# Windows ------------------------------------------------------------------------------------


def _window(
    name: str, formula: Callable[[Any], Any], length: int, periodic: bool, options: dict[str, Any]
) -> Tensor:
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    kind = options.get("dtype")
    if kind is not None and not as_dtype(kind).is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {kind!r}")
    if length == 1:
        values: Any = numpy.ones(1)
    else:
        last = length if periodic else length - 1
        values = formula(numpy.arange(length) / last) if length else numpy.empty(0)
    where, grad = options.get("device"), options.get("requires_grad", False)
    return _from_host(values, kind, where, grad)


@factory
def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """(1 - cos 2πt) / 2 of t in [0, 1); symmetric unless ``periodic``."""
    return hamming_window(window_length, periodic, 0.5, 0.5, _name="hann_window", **options)


@factory
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    _name: str = "hamming_window",
    **options: Any,
) -> Tensor:
    """alpha - beta cos 2πt."""

    def formula(t: Any) -> Any:
        return alpha - beta * numpy.cos(2 * math.pi * t)

    return _window(_name, formula, window_length, periodic, options)


@factory
def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """0.42 - 0.5 cos 2πt + 0.08 cos 4πt."""

    def formula(t: Any) -> Any:
        return 0.42 - 0.5 * numpy.cos(2 * math.pi * t) + 0.08 * numpy.cos(4 * math.pi * t)

    return _window("blackman_window", formula, window_length, periodic, options)


@factory
def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """1 - |2t - 1|: a triangle."""

    def formula(t: Any) -> Any:
        return 1 - numpy.abs(2 * t - 1)

    return _window("bartlett_window", formula, window_length, periodic, options)


@factory
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any
) -> Tensor:
    """I₀(beta √(1 - (2t - 1)²)) / I₀(beta)."""

    def formula(t: Any) -> Any:
        return numpy.i0(beta * numpy.sqrt(1 - (2 * t - 1) ** 2)) / numpy.i0(beta)

    return _window("kaiser_window", formula, window_length, periodic, options)
