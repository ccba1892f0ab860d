"""``autocast``: regions in which operations choose their dtype; which ones, ``ops`` knows."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar, cast, overload

import numpy

from gpunn.autograd.casting import autocast_state
from gpunn.backends import cuda_problem
from gpunn.dtype import bfloat16, dtype, float16, float64
from gpunn.tensor import Tensor

R = TypeVar("R")
_LOWER = (bfloat16, float16)


class autocast:  # noqa: N801  (PyTorch's name)
    """Run matrix products and convolutions in ``dtype``, and what needs its range in float32.

    ``with gpunn.autocast("cuda"):`` around forward and loss; backward stays outside. The dtype is
    float16 on "cuda" and bfloat16 on "cpu" unless given. ``enabled=False`` makes a region without
    autocast inside another. Weights are cast once in the outermost region (``cache_enabled``).
    It decorates functions too. The setting is the thread's own.

    Warns, and is off, for CUDA where there is none and for another dtype on the CPU.
    As ``torch.autocast``, with its lists of operations for each device.
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        _need_name(device_type)
        if not is_autocast_available(device_type):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'"
            )
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        caching = is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        self._cache_enabled = caching
        if enabled and device_type == "cuda" and cuda_problem() is not None:
            warnings.warn("CUDA is not available. Disabling autocast.", stacklevel=2)
            enabled = False
        if enabled and device_type == "cpu" and self.fast_dtype not in _LOWER:
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"CPU Autocast only supports dtypes of {', '.join(map(repr, _LOWER))} currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._outside: list[tuple[bool, dtype, bool]] = []

    def __enter__(self) -> Self:
        state, where = autocast_state, self.device
        self._outside.append((where in state.enabled, state.dtypes[where], state.caching))
        state.set(where, self._enabled, self.fast_dtype)
        state.caching = self._cache_enabled
        state.depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        state = autocast_state
        state.depth -= 1
        if not state.depth:
            clear_autocast_cache()
        enabled, before, state.caching = self._outside.pop()
        state.set(self.device, enabled, before)

    def __call__(self, function: Callable[..., R]) -> Callable[..., R]:
        if not callable(function):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(function).__name__}. Did you "
                "mean to use autocast as a context manager? For example:\n"
                "    with gpunn.autocast(device_type=...):\n        output = model(input)"
            )

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> R:
            with self:
                return function(*args, **kwargs)

        return inside


def _need_name(device_type: object) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def is_autocast_available(device_type: str) -> bool:
    """Whether there is autocast for this type of device: "cpu" and "cuda"."""
    return device_type in autocast_state.dtypes


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on, in this thread, for this type of device."""
    return device_type in autocast_state.enabled


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Switch autocast on or off for this type of device; ``autocast`` does so for a region."""
    autocast_state.set(device_type, enabled, get_autocast_dtype(device_type))


def get_autocast_dtype(device_type: str) -> dtype:
    """The dtype of autocast on this type of device: float16 on "cuda", bfloat16 on "cpu"."""
    if not is_autocast_available(device_type):
        raise RuntimeError(f"unsupported device type for autocast: {device_type}")
    return autocast_state.dtypes[device_type]


def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """Set the dtype of autocast on this type of device."""
    autocast_state.set(device_type, is_autocast_enabled(device_type), dtype)


def is_autocast_cache_enabled() -> bool:
    """Whether weights are cast once in a region, not at every use."""
    return autocast_state.caching


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Set whether weights are cast once in a region."""
    autocast_state.caching = enabled


def clear_autocast_cache() -> None:
    """Forget the weights that were cast; leaving the outermost region does so."""
    autocast_state.cache.clear()


def _cast(value: Any, device_type: str, kind: dtype) -> Any:
    """Floating-point tensors of the device as ``kind``, also in containers; float64 stays."""
    if isinstance(value, Tensor):
        eligible = value.is_floating_point() and value.device.type == device_type
        return value.to(kind) if eligible and value.dtype is not float64 else value
    if isinstance(value, (str, bytes, numpy.ndarray)):
        return cast("Any", value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {_cast(k, device_type, kind): _cast(v, device_type, kind) for k, v in items}
    if isinstance(value, Iterable):
        parts = (_cast(v, device_type, kind) for v in cast("Iterable[Any]", value))
        if isinstance(value, tuple):
            return tuple(parts)
        return list(parts) if isinstance(value, list) else parts
    return value


@overload
def custom_fwd(
    fwd: Callable[..., Any], *, device_type: str, cast_inputs: dtype | None = None
) -> Callable[..., Any]: ...
@overload
def custom_fwd(
    fwd: None = None, *, device_type: str, cast_inputs: dtype | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: dtype | None = None
) -> Any:
    """Decorate ``forward`` of your ``Function`` so that it works in autocast regions.

    With ``cast_inputs``, floating-point arguments are cast to it there, and forward runs without
    autocast. ``custom_bwd`` gives backward the same setting.
    """
    _need_name(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    forward = fwd

    @functools.wraps(forward)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        inside = is_autocast_enabled(device_type)
        ctx._fwd_used_autocast = inside and cast_inputs is None
        if cast_inputs is None or not inside:
            return forward(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            args, kwargs = (_cast(a, device_type, cast_inputs) for a in (args, kwargs))
            return forward(ctx, *args, **kwargs)

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Decorate ``backward`` beside a forward with ``custom_fwd``: it gets the same setting."""
    _need_name(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    backward = bwd

    @functools.wraps(backward)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return backward(ctx, *args, **kwargs)

    return decorated
