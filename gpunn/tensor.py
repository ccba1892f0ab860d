"""Tensor: making one, its gradient, and writing in its place."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd import engine
from gpunn.autograd.grad_mode import no_grad, thread
from gpunn.autograd.variable import Variable, concrete, recording
from gpunn.backends import type2backend
from gpunn.dtype import can_cast, float64, get_default_dtype
from gpunn.likes import Likes
from gpunn.missing import of_instance
from gpunn.operators import Operand
from gpunn.ops import (
    binary,
    comparison,
    conversion,
    gathering,
    indexing,
    joining,
    parts,
    windows,
)
from gpunn.ops import matmul as products  # inside the class these names mean methods
from gpunn.ops import shape as shapes
from gpunn.ops.calling import checked
from gpunn.ops.common import dtype_of, local
from gpunn.ops.filling import element
from gpunn.values import rebuild


@concrete
class Tensor(Likes):
    """An n-dimensional array on a device, whose operations are recorded for ``backward``.

    Make one with ``gpunn.tensor``, ``zeros``, ``rand``, ``from_numpy``...; ``data`` is the NumPy or
    CuPy array, ``grad`` the gradient that ``backward()`` left.
    """

    __array_priority__ = 1000  # numpy_array * tensor is the tensor's business

    def __init__(self, *args: Any) -> None:
        """As ``gpunn.tensor(data)`` in the default float, or uninitialised: ``Tensor(2, 3)``."""
        if args and all(isinstance(n, int) for n in args):
            super().__init__(numpy.empty(args, get_default_dtype().numpy))
            return
        if len(args) > 1:
            raise TypeError(f"Tensor() expected data, or sizes as ints, got {args!r:.80}")
        data: Any = args[0] if args else ()
        if isinstance(data, Variable):
            data = data._data
        elif not isinstance(data, numpy.ndarray) and type(data) not in type2backend:
            data = numpy.asarray(data, get_default_dtype().numpy)
        super().__init__(data)

    # Parts and copies -----------------------------------------------------------------------

    @property
    def T(self) -> Tensor:  # noqa: N802
        """All dimensions in reverse order, a view."""
        return shapes.Permute.apply(self, tuple(range(self._data.ndim))[::-1])

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """The last two dimensions exchanged, a view."""
        if self._data.ndim < 2:
            raise RuntimeError(
                "tensor.mT is only supported on matrices or batches of matrices. "
                f"Got {self._data.ndim}-D tensor."
            )
        return products.transposed(self)

    mH = mT  # noqa: N815  (of real numbers)

    @property
    def H(self) -> Tensor:  # noqa: N802
        """A matrix with rows and columns exchanged."""
        if self._data.ndim not in (0, 2):
            raise RuntimeError(
                "tensor.H is only supported on matrices (2-D tensors). "
                f"Got {self._data.ndim}-D tensor."
            )
        return self.T

    @property
    def real(self) -> Tensor:
        """This tensor."""
        return self

    @property
    def imag(self) -> Tensor:
        """The imaginary part, which only complex numbers have. Raises RuntimeError."""
        return parts.imag(self)

    def new(self, *args: Any) -> Tensor:
        """As ``new_tensor`` of a sequence, or ``new_empty`` of sizes."""
        if args and not all(isinstance(a, int) for a in args):
            return self.new_tensor(*args)
        return self.new_empty(*(args or (0,)))

    def share_memory_(self) -> Tensor:
        """This tensor: memory is shared with other processes where the data loader needs it."""
        return self

    def __iter__(self) -> Iterator[Tensor]:
        if not self._data.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(joining.unbind(self))

    def __reversed__(self) -> Tensor:
        return joining.flip(self, 0) if self._data.ndim else self

    if not TYPE_CHECKING:  # type checkers would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            """Only where ``name`` is not found: what comes near."""
            if hasattr(type(self), name):  # a property that raised AttributeError itself
                return object.__getattribute__(self, name)
            raise AttributeError(of_instance(type(self), name), name=name, obj=self)

    def __contains__(self, element: Operand) -> bool:
        return bool(comparison.eq(self, element)._data.any())

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.grad_fn is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment"
            )
        copy = rebuild(type(self), type2backend[type(self._data)].copy(self._data), None, False, {})
        copy._requires_grad = self._requires_grad
        memo[id(self)] = copy
        if self._grad is not None:
            copy._grad = self._grad.detach().clone()
        copy.__dict__.update(deepcopy(self.__dict__, memo))
        return copy

    # Gradient -------------------------------------------------------------------------------

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Sequence[Tensor] | Tensor | None = None,
    ) -> None:
        """Add the gradient of this tensor to ``.grad`` of the leaves it was made from."""
        engine.backward(self, gradient, retain_graph, create_graph, inputs)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Record operations on this tensor from now on; returns it."""
        self.requires_grad = requires_grad
        return self

    def detach_(self) -> Tensor:
        """Cut this tensor from its history, in place."""
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._grad_fn, self._requires_grad = None, False
        return self

    # Changing in place ----------------------------------------------------------------------

    @local
    def _write(self, function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """``self[...] = function(self, ...)``, with that function's gradient."""
        recorded = recording(self, *args, *kwargs.values())
        if thread.mode.enabled:
            self._check_in_place(recorded)
        saved: Any = None
        if recorded:
            before = self._alias()
            new = function(before, *args, **kwargs)
            saved = weakref.ref(before)
            del before
        else:
            with no_grad():
                new = function(self, *args, **kwargs)
        data, target = new._data, self._data
        if data.shape != target.shape:
            raise RuntimeError(
                f"output with shape {list(target.shape)} doesn't match the broadcast shape "
                f"{list(data.shape)}"
            )
        if not can_cast(dtype_of(new), self.dtype):
            raise RuntimeError(
                f"result type {new.dtype.title} can't be cast to the desired "
                f"output type {self.dtype.title}"
            )
        if (
            target.size
            and 0 in target.strides
            and any(s == 0 and n > 1 for s, n in zip(target.strides, target.shape, strict=True))
        ):
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to a "
                "single memory location. Please clone() the tensor before performing the operation."
            )
        before = saved and saved()
        if before is not None:  # backward wants the old values: they move out
            before._data = type2backend[type(target)].copy(target)
            before._version_box = [before._version_box[0]]
            del before
        target[...] = data
        self._version_box[0] += 1
        if recorded:
            self._rebase(new)
        return self

    @checked
    def copy_(self, src: Tensor | float, non_blocking: bool = False) -> Tensor:
        """Take over the values of ``src``, broadcast and cast; also from another device."""
        if isinstance(src, (int, float)):
            return self.fill_(src)
        if self.device != src.device:
            src = src.to(self.device, non_blocking=non_blocking)
        return self._write(conversion.Overwrite.apply, src)

    def fill_(self, value: Operand) -> Tensor:
        """Every element set to ``value``."""
        return self._write(conversion.fill, value)

    def float_power_(self, exponent: Operand) -> Tensor:
        """As ``float_power``, in place: of a float64 tensor."""
        if self.dtype is not float64:
            raise RuntimeError(
                f"the base given to float_power_ has dtype {self.dtype.title} but the operation's "
                "result requires dtype Double"
            )
        return self._write(binary.float_power, exponent)

    def zero_(self) -> Tensor:
        """Every element set to 0."""
        return self.fill_(0)

    @local
    def fill_diagonal_(self, fill_value: float, wrap: bool = False) -> Tensor:
        """The elements of equal indices set to ``fill_value``.

        ``wrap`` begins anew, one row further, where a matrix is taller than wide.
        """
        shape = self._data.shape
        if len(shape) < 2:
            raise RuntimeError("dimensions must larger than 1")
        if len(shape) > 2 and len(set(shape)) > 1:
            raise RuntimeError("all dimensions of input must be of equal length")
        xp = type2backend[type(self._data)].xp
        rows = xp.arange(shape[0])
        if len(shape) > 2 or not wrap or shape[0] <= shape[1]:
            rows = rows[: min(shape)]
            index = (rows,) * len(shape)
        else:
            columns = rows % (shape[1] + 1)
            index = (rows[columns < shape[1]], columns[columns < shape[1]])
        filler = element(fill_value, self)
        return self._write(gathering.index_put, index, filler)

    # Another shape in place -----------------------------------------------------------------

    def _become(self, function: Callable[..., Tensor], *args: Any) -> Tensor:
        """``self = function(self, ...)``, a view of the same memory."""
        if self._base is not None and self.requires_grad and thread.mode.enabled:
            raise RuntimeError(
                f"{function.__name__}_ of a view that requires grad is not supported; use "
                f"{function.__name__}()"
            )
        if thread.mode.enabled:
            self._check_in_place(recording(self))
        new = function(self._alias(), *args)
        self._data = new._data
        self._set_history(new)
        self._version_box[0] += 1
        return self

    def unsqueeze_(self, dim: int) -> Tensor:
        """As ``unsqueeze``, in place."""
        return self._become(shapes.unsqueeze, dim)

    def squeeze_(self, *dim: Any) -> Tensor:
        """As ``squeeze``, in place."""
        return self._become(shapes.squeeze, *dim)

    def transpose_(self, dim0: int, dim1: int) -> Tensor:
        """As ``transpose``, in place."""
        return self._become(shapes.transpose, dim0, dim1)

    swapaxes_ = swapdims_ = transpose_

    def as_strided_(
        self,
        size: Sequence[int],
        stride: Sequence[int],
        storage_offset: int | None = None,
    ) -> Tensor:
        """As ``as_strided``, in place."""
        return self._become(windows.as_strided, size, stride, storage_offset)

    def t_(self) -> Tensor:
        """As ``t``, in place."""
        return self._become(shapes.t)

    def resize_(self, *sizes: Any) -> Tensor:
        """Another shape in place: elements stay in order, new ones are uninitialised."""
        if self.requires_grad:
            raise RuntimeError("cannot resize variables that require grad")
        shape = shapes.sizes_of(sizes, "resize_", "size")
        backend, flat = type2backend[type(self._data)], self._data.reshape(-1)
        size = math.prod(shape)
        with backend.on(self.device):
            if size > flat.size:
                grown = backend.xp.empty(size, flat.dtype)
                grown[: flat.size] = flat
                flat = grown
        self._set_data(flat[:size].reshape(shape))
        return self

    @checked
    def resize_as_(self, the_template: Tensor) -> Tensor:
        """``resize_`` to the shape of ``the_template``."""
        return self.resize_(the_template.shape)

    def __setitem__(self, index: Any, value: Any) -> None:
        indexing.setitem(self, index, value)
