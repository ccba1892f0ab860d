"""Parameter and Buffer: tensors that a Module registers when they are assigned to it.

Either may be uninitialized: then it has a dtype and a device, and no shape yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import numpy

from gpunn.autograd.variable import Variable
from gpunn.backends import type2backend
from gpunn.creation import empty
from gpunn.device import device as Device
from gpunn.dtype import get_default_dtype
from gpunn.ops.conversion import parse_to
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
        if requires_grad and not self.is_floating_point():
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients; got "
                f"{self.dtype}: use requires_grad=False"
            )
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


# Without a shape ----------------------------------------------------------------------------

_WAY_OUT = "Call `forward` to initialize the parameters before accessing their attributes."


def _refuse(name: str) -> NoReturn:
    if name.startswith("__"):  # Python's own questions
        raise AttributeError(name)
    raise ValueError(
        f"Attempted to use an uninitialized parameter in {name!r}. This error happens when you are "
        "using a `LazyModule` or explicitly manipulating `gpunn.nn.parameter.UninitializedParameter"
        "` objects. When using LazyModules Call `forward` with a dummy batch to initialize the "
        "parameters before calling gpunn functions"
    )


class _NoBackend:
    """What computes on an array that is not there: nothing."""

    def device(self, array: _Unknown) -> Device:
        return array.where

    def __getattr__(self, name: str) -> Any:
        _refuse(name)


class _Unknown:
    """Stands where a tensor's array will be; an operation that asks it for more is refused."""

    gpunn_backend = _NoBackend()

    def __init__(self, dtype: Any, where: Device) -> None:
        self.dtype, self.where = dtype, where

    def __getattr__(self, name: str) -> Any:
        _refuse(name)


class _Uninitialized(Tensor):
    """What ``materialize`` makes a tensor of the class ``cls_to_become``."""

    cls_to_become: ClassVar[type[Tensor]]

    def __init__(self, requires_grad: bool, device: Any, dtype: Any) -> None:
        sample = empty(0, device=device, dtype=dtype)
        Variable.__init__(self, _Unknown(sample.data.dtype, sample.device))
        self._requires_grad = requires_grad

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary tensor of that shape, whose values mean nothing yet."""
        made = empty(*shape, device=device or self.device, dtype=dtype or self.dtype)
        self._data = made._data
        self.__class__ = self.cls_to_become  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually "
            "happens in `load_state_dict` when trying to load an uninitialized parameter into an "
            f"initialized one. {_WAY_OUT}"
        )

    def to(self, *args: Any, **kwargs: Any) -> Any:
        where, dtype, _, _ = parse_to(*args, **kwargs)
        other = object.__new__(type(self))
        _Uninitialized.__init__(
            other, self._requires_grad, where or self.device, dtype or self.dtype
        )
        other.__dict__.update(self.__dict__)
        return other

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to "
            "initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        memo[id(self)] = copy = self.to(self.dtype)
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self._requires_grad, str(self.device), self.dtype)


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape is not known yet; ``materialize`` makes a Parameter of it.

    It may be moved and cast, and an optimizer may hold it; anything else raises ValueError.
    """

    cls_to_become = Parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(requires_grad, device, dtype)


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer whose shape is not known yet; ``materialize`` makes a Tensor of it."""

    cls_to_become = Tensor

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> None:
        super().__init__(requires_grad, device, dtype)
        self.persistent = persistent


def is_lazy(param: Any) -> bool:
    """Whether ``param`` is a parameter or buffer whose shape is not known yet."""
    return isinstance(param, _Uninitialized)
