"""What functions that make tensors take besides: ``out=``, and PyTorch's words for memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunn.dtype import as_dtype
from gpunn.layout import layout, strided
from gpunn.ops.calling import into
from gpunn.ops.common import dtype_of, is_tensor
from gpunn.ops.conversion import pin_memory

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Maker = Callable[..., "Tensor"]


def factory(function: Maker) -> Maker:
    """``function`` that also takes ``layout``, ``pin_memory`` and ``memory_format``.

    >>> import gpunn
    >>> gpunn.zeros(2, layout=gpunn.strided, pin_memory=False)
    tensor([0., 0.])
    """
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Tensor:
        if not keywords:
            return function(*args)
        stored = keywords.pop("layout", None)
        keywords.pop("memory_format", None)  # new tensors lie row by row
        pinned = keywords.pop("pin_memory", False)
        if stored not in (None, strided):
            if not isinstance(stored, layout):
                kind = type(stored).__name__
                raise TypeError(f"{name}(): argument 'layout' must be gpunn.layout, not {kind}")
            raise RuntimeError(f"{name}(): gpunn has only strided tensors, not {stored}")
        made = function(*args, **keywords)
        return pin_memory(made) if pinned else made

    return call


def filling(function: Maker) -> Maker:
    """A ``factory`` that also takes ``out=``, whose dtype and device are those of what is made.

    >>> import gpunn
    >>> row = gpunn.empty(3, dtype=gpunn.int64)
    >>> gpunn.ones(3, out=row) is row, row
    (True, tensor([1, 1, 1]))
    """
    name, make = function.__name__, factory(function)

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Tensor:
        out: Any = keywords.pop("out", None)
        if out is None:
            return make(*args, **keywords)
        if not is_tensor(out):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
        kind, wanted = dtype_of(out), keywords.get("dtype")
        if wanted is not None and as_dtype(wanted) is not kind:
            raise RuntimeError(
                f"dtype {as_dtype(wanted).title} does not match dtype of out parameter "
                f"({kind.title})"
            )
        grad = keywords.pop("requires_grad", False)
        made = make(*args, **{**keywords, "dtype": kind, "device": out.device})
        into(out, made, name)
        return out.requires_grad_() if grad else out

    return call
