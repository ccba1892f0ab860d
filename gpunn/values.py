"""What a tensor is, and its values in Python's and NumPy's terms; no operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy

from gpunn.autograd.grad_mode import thread
from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.backends import type2backend
from gpunn.device import device as Device
from gpunn.dtype import (
    FLOATING,
    from_numpy_dtype,
)
from gpunn.layout import channels_last, channels_last_3d, contiguous_format, layout, strided
from gpunn.ops.common import canonical_dim
from gpunn.printing import format_tensor

if TYPE_CHECKING:
    from gpunn.dtype import dtype as Dtype
    from gpunn.tensor import Tensor


class Size(tuple[int, ...]):
    """A shape: a tuple of ints.

    >>> Size((2, 3)), Size((2, 3)).numel()
    (gpunn.Size([2, 3]), 6)
    """

    def __repr__(self) -> str:
        return f"gpunn.Size({list(self)})"

    def __add__(self, other: Any) -> Any:
        return Size((*self, *other))

    def __getitem__(self, index: Any) -> Any:
        get: Callable[[Any], Any] = super().__getitem__
        part = get(index)
        return Size(part) if isinstance(index, slice) else part

    def numel(self) -> int:
        """The product of the sizes."""
        product = 1
        for n in self:
            product *= n
        return product


class Values(Variable):
    """Shape, dtype, device; numbers, lists, arrays, text; pickles. The base of ``Tensor``."""

    # What it is -----------------------------------------------------------------------------

    # Kinds of tensors that PyTorch has besides.
    is_sparse = is_quantized = is_meta = is_mkldnn = is_nested = is_mps = is_xpu = False
    is_sparse_csr = is_ipu = is_maia = is_mtia = is_vulkan = is_xla = False
    name = None

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return Size(self._data.shape)

    @property
    def dtype(self) -> Dtype:
        """The element type."""
        return from_numpy_dtype[self._data.dtype]

    @property
    def device(self) -> Device:
        """Where the data lie."""
        return type2backend[type(self._data)].device(self._data)

    @property
    def is_cuda(self) -> bool:
        """Whether the data lie on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def layout(self) -> layout:
        """How the elements are stored: ``gpunn.strided``."""
        return strided

    @property
    def is_cpu(self) -> bool:
        """Whether the data lie in host memory."""
        return self.device.type == "cpu"

    def get_device(self) -> int:
        """The index of the CUDA device; -1 on the CPU."""
        where = self.device
        return -1 if where.type == "cpu" or where.index is None else where.index

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._data.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._data.size * self._data.dtype.itemsize

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of dimension ``dim``."""
        if dim is None:
            return self.shape
        return self._data.shape[self._dim(dim)]

    def _dim(self, dim: int) -> int:
        if not self._data.ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        return canonical_dim(dim, self._data.ndim)

    def dim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._data.size

    nelement = numel

    def element_size(self) -> int:
        """Bytes per element."""
        return self._data.dtype.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """Steps between neighbours, in elements."""
        strides = tuple(s // self._data.dtype.itemsize for s in self._data.strides)
        return strides if dim is None else strides[self._dim(dim)]

    def storage_offset(self) -> int:
        """How many elements lie in the memory before the first."""
        array = self._data
        if array.base is None:
            return 0
        root = array.base
        while getattr(root, "base", None) is not None and isinstance(root.base, type(array)):
            root = root.base
        if not isinstance(root, type(array)):
            return 0
        return (self.data_ptr() - wrap(root).data_ptr()) // array.dtype.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        if type(self._data) is numpy.ndarray:
            return self._data.ctypes.data
        return self._data.data.ptr

    def record_stream(self, s: Any) -> None:
        """Keep this CUDA tensor's memory until work that stream ``s`` has when it is dropped is
        done: for a tensor that was made on another stream than ``s``."""
        type2backend[type(self._data)].record_stream(self._data, s._handle)

    def is_contiguous(self, memory_format: Any = contiguous_format) -> bool:
        """Whether elements lie in memory in that order (row by row) without gaps."""
        array = self._data
        if memory_format in (channels_last, channels_last_3d):
            if array.ndim != (4 if memory_format is channels_last else 5):
                return False
            array = array.transpose(0, *range(2, array.ndim), 1)
        return array.flags.c_contiguous

    def is_floating_point(self) -> bool:
        """Whether the dtype is a float."""
        return self._data.dtype.kind in FLOATING

    # Values ---------------------------------------------------------------------------------

    def item(self) -> Any:
        """The one element as a Python number."""
        if self._data.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._data.size} elements cannot be converted to Scalar"
            )
        return type2backend[type(self._data)].item(self._data)

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return type2backend[type(self._data)].to_numpy(self._data).tolist()

    def numpy(self, *, force: bool = False) -> numpy.ndarray[Any, Any]:
        """The NumPy array that shares the memory; CPU tensors without gradient only.

        Of bfloat16, which PyTorch refuses here, the array is one of ml_dtypes' bfloat16.
        With ``force``, ``self.detach().cpu().numpy()``.
        """
        if force:
            return type2backend[type(self._data)].to_numpy(self._data)
        if self.requires_grad and thread.mode.enabled:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        if type(self._data) is not numpy.ndarray:
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to "
                "copy the tensor to host memory first."
            )
        return self._data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> numpy.ndarray[Any, Any]:
        return numpy.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self._data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def __bool__(self) -> bool:
        if self._data.size == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        if self._data.size > 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(type2backend[type(self._data)].item(self._data))

    def __int__(self) -> int:
        return int(self._scalar())

    def __float__(self) -> float:
        return float(self._scalar())

    def _scalar(self) -> Any:
        if self._data.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return type2backend[type(self._data)].item(self._data)

    def __index__(self) -> int:
        if self._data.size != 1 or self._data.dtype.kind in FLOATING:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self._data.shape[0]

    def __format__(self, spec: str) -> str:
        if not spec:
            return repr(self)
        if self._data.ndim:
            raise TypeError("unsupported format string passed to Tensor.__format__")
        return format(type2backend[type(self._data)].item(self._data), spec)

    def __repr__(self) -> str:
        notes: list[str] = []
        try:
            if self.grad_fn is not None:
                notes.append(f"grad_fn=<{self.grad_fn.name}>")
        except RuntimeError:  # a view whose history is lost
            notes.append("grad_fn=<Invalid>")
        if not notes and self._requires_grad:
            notes.append("requires_grad=True")
        host = type2backend[type(self._data)].to_numpy(self._data)
        return format_tensor(host, str(self.device), notes)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if self.grad_fn is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) can be pickled or deep "
                "copied; call detach() first"
            )
        host = type2backend[type(self._data)].to_numpy(self._data)
        return rebuild, (type(self), host, str(self.device), self._requires_grad, self.__dict__)


def rebuild(
    cls: type[Tensor], array: Array, where: str | None, requires_grad: bool, state: dict[str, Any]
) -> Tensor:
    """A tensor of class ``cls`` from what ``__reduce_ex__`` took apart."""
    tensor = object.__new__(cls)
    Variable.__init__(tensor, array if where in (None, "cpu") else wrap(array).to(where)._data)
    tensor._requires_grad = requires_grad
    tensor.__dict__.update(state)
    return tensor
