"""Parameter and Buffer: tensors that a Module registers when they are assigned to it."""

from __future__ import annotations

from typing import Any

import numpy

from gpunn.backends import type2backend
from gpunn.dtype import get_default_dtype
from gpunn.tensor import Tensor
from gpunn.values import rebuild


class _Registered(Tensor):
    """A tensor over the memory of another, of a class that Module takes notice of."""

    def __init__(self, data: Tensor | None, requires_grad: bool) -> None:
        if data is None:
            data = Tensor(numpy.empty(0, get_default_dtype().numpy))
        elif not isinstance(data, Tensor):
            raise TypeError(
                f"{type(self).__name__}() expected a Tensor, got {type(data).__name__}; make one "
                "with gpunn.tensor(...)"
            )
        super().__init__(data._data)
        self._version_box = data._version_box  # one memory, one counter
        if requires_grad:
            self.requires_grad = True

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copy = rebuild(
            type(self),
            type2backend[type(self._data)].copy(self._data),
            None,
            self._requires_grad,
            self.__dict__,
        )
        memo[id(self)] = copy
        return copy


class Parameter(_Registered):
    """A tensor to be trained: assigned to a Module, it is one of its ``parameters()``.

    It shares the memory of ``data`` and requires gradients. A deep copy leaves ``grad`` behind.

    >>> import gpunn
    >>> Parameter(gpunn.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(_Registered):
    """A tensor that is state but not trained: assigned to a Module, it is one of its ``buffers()``.

    With ``persistent=False`` it moves with the module but is left out of ``state_dict()``.
    """

    persistent: bool

    def __init__(
        self,
        data: Tensor | None = None,
        *,
        persistent: bool = True,
    ) -> None:
        super().__init__(data, False)
        self.persistent = persistent
