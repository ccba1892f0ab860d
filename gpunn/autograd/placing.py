"""Where work is done: on the device of the tensors that it is done on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.variable import Variable
from gpunn.backends import type2backend

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def where_all_lie(cls: type, args: tuple[Any, ...]) -> AbstractContextManager[Any]:
    """Work inside is done where ``args`` lie; a 0-d CPU tensor may lie apart, as a number may."""
    types: set[Any] = {type(a._data) for a in args if isinstance(a, Variable)}
    if len(types) > 1:
        types = {
            type(a._data)
            for a in args
            if isinstance(a, Variable) and (a._data.ndim or type(a._data) is not numpy.ndarray)
        }
    if len(types) < 2:
        return type2backend[types.pop() if types else numpy.ndarray].on_device_of(cls, args)
    found = [
        str(type2backend[type(a._data)].device(a._data)) for a in args if isinstance(a, Variable)
    ]
    devices = list(dict.fromkeys(found))
    raise RuntimeError(
        "Expected all tensors to be on the same device, but found at least two devices, "
        f"{devices[0]} and {devices[1]}! ({cls.__name__.lower()} got tensors on "
        f"{', '.join(found)}; move one with .to('{devices[0]}'))"
    )


def beside(dys: Sequence[Tensor | None]) -> AbstractContextManager[Any]:
    """Work inside runs where the gradients lie, on the CPU only if all do."""
    arrays = [dy._data for dy in dys if dy is not None]
    data = next((d for d in arrays if type(d) is not numpy.ndarray), arrays[0])
    return type2backend[type(data)].beside(data)
