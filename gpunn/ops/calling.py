"""What PyTorch's functions take besides their arguments: ``out=``, and NumPy's names for some."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, ParamSpec, TypeVar, cast

from gpunn.autograd.variable import Variable, recording
from gpunn.backends import type2backend
from gpunn.dtype import can_cast
from gpunn.ops.common import check_tensors, dtype_of

P = ParamSpec("P")
R = TypeVar("R")
_checked: set[Any] = set()  # functions that tell what is no tensor among their arguments
_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def extended(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` that also takes ``out=``, and ``axis=``, ``keepdims=`` for dim and keepdim.

    >>> import gpunn
    >>> total = gpunn.empty(2)
    >>> gpunn.ones(2, 3).sum(axis=1), gpunn.sum(gpunn.ones(2, 3), 1, out=total) is total
    (tensor([3., 3.]), True)
    """
    plain: Callable[..., Any] = function

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        try:
            if not keywords:
                return plain(*args)
            for theirs, ours in _NAMES.items():
                if theirs in keywords:
                    keywords[ours] = keywords.pop(theirs)
            out = keywords.pop("out", None)
            result = plain(*args, **keywords)
        except AttributeError:
            check_tensors(plain, args, keywords)
            raise
        return result if out is None else into(out, result, function.__name__)

    _checked.add(call)
    return call


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which tells what is no tensor among its arguments but should be one."""

    @functools.wraps(function)
    def call(*args: P.args, **keywords: P.kwargs) -> R:
        try:
            return function(*args, **keywords)
        except AttributeError:
            check_tensors(function, args, keywords)
            raise

    _checked.add(call)
    return call


def check_arguments(module: dict[str, Any]) -> None:
    """Have all functions of a namespace (its ``globals()``) tell what is no tensor, as PyTorch's.

    What calls them by another way, tensors' methods and gpunn itself, pays nothing for it.
    """
    for name in module["__all__"]:
        value = module[name]
        if isinstance(value, FunctionType) and value not in _checked and _takes_tensors(value):
            function: Any = checked(value)
            # Where it is found, so that a model that holds it can be pickled.
            function.__module__, function.__qualname__ = module["__name__"], name
            module[name] = function


def _takes_tensors(function: FunctionType) -> bool:
    kinds: dict[str, Any] = inspect.unwrap(function).__annotations__
    return any("Tensor" in str(kind) for name, kind in kinds.items() if name != "return")


def into(out: Any, result: Any, name: str) -> Any:
    """``out``, a tensor or several, with ``result`` written into it.

    An ``out`` of another shape takes the result's, with a warning unless it was empty. Raises
    RuntimeError where a gradient would be recorded, or where ``out`` holds a lesser kind of number.
    """
    if not isinstance(result, Variable):
        parts: Sequence[Any] = result
        targets = cast("Sequence[Any]", out if isinstance(out, (tuple, list)) else ())
        if len(targets) != len(parts):
            raise TypeError(f"{name}(): argument 'out' must be tuple of {len(parts)} Tensors")
        for target, part in zip(targets, parts, strict=True):
            into(target, part, name)
        return targets
    if not isinstance(out, Variable):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if recording(result, out):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    _write(out, result)
    return out


def _write(out: Variable, result: Variable) -> None:
    source, target = result._data, out._data
    if not can_cast(dtype_of(result), dtype_of(out)):
        raise RuntimeError(
            f"result type {dtype_of(result).title} can't be cast to the desired output type "
            f"{dtype_of(out).title}"
        )
    places = [type2backend[type(x)].device(x) for x in (source, target)]
    if places[0] != places[1]:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but got out is on {places[1]}, "
            f"different from other tensors on {places[0]}"
        )
    backend = type2backend[type(source)]
    with backend.on(places[0]):
        if source.shape == target.shape:
            target[...] = source.astype(target.dtype, copy=False)
            out._version_box[0] += 1
            return
        if target.size:
            warnings.warn(
                "An output with one or more elements was resized since it had shape "
                f"{list(target.shape)}, which does not match the required output shape "
                f"{list(source.shape)}. This behavior is deprecated, and in a future PyTorch "
                "release outputs will not be resized unless they have zero elements. You can "
                "explicitly reuse an out tensor t by resizing it, inplace, to zero elements with "
                "t.resize_(0).",
                UserWarning,
                stacklevel=5,
            )
        out.data = backend.copy(source.astype(target.dtype, copy=False))
