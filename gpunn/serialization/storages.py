"""Storages: the flat memory that tensors look at, on its way into a file and out of it.

Several tensors may look at one storage, each by its offset, shape and strides (in elements).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING, Any, cast

from gpunn.autograd.variable import wrap
from gpunn.backends import cuda_problem, type2backend
from gpunn.device import device
from gpunn.dtype import DTYPES, dtype, from_numpy_dtype
from gpunn.serialization.files import CorruptFileError
from gpunn.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    import numpy

    Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray: the backends' business
    MapLocation: TypeAlias = str | device | Mapping[str, str] | Callable[[Tensor, str], Any] | None

TYPE_NAMES = {f"{kind.title}Storage": kind for kind in DTYPES}
MAX_DIMENSIONS = 64  # NumPy's


@dataclass(slots=True, eq=False)
class Storage:
    """``numel`` elements in a row; ``array`` is None until they are read."""

    key: str
    dtype: dtype
    numel: int
    location: str
    array: Array = None

    @property
    def type_name(self) -> str:
        """The class that stands for the dtype in PyTorch's files, as ``FloatStorage``."""
        return f"{self.dtype.title}Storage"


# Into a file


class StorageWriter:
    """Finds the storages below tensors, each of them once."""

    def __init__(self) -> None:
        self.storages: list[Storage] = []
        self._found: dict[int, tuple[Array, Storage]] = {}  # keeps what the ids belong to

    def place(self, tensor: Tensor, path: str) -> tuple[Storage, int, tuple[int, ...]]:
        """The storage that ``tensor`` looks at, its offset there, and its strides.

        Raises RuntimeError if a tensor of another dtype was found to look at the same memory.
        """
        array: Array = tensor.data
        root = root_of(array)
        placed = _placed(array, root)
        if placed is None:  # PyTorch has no such strides
            array = root = type2backend[type(array)].xp.array(array, order="C")
            placed = array.reshape(-1), 0
        flat, offset = placed
        kind = from_numpy_dtype[array.dtype]
        if id(root) not in self._found:
            key = str(len(self.storages))
            storage = Storage(key, kind, int(flat.size), str(tensor.device), flat)
            self.storages.append(storage)
            self._found[id(root)] = root, storage
        storage = self._found[id(root)][1]
        if storage.dtype is not kind:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                f"types: {path} as {kind!r}, another as {storage.dtype!r}; clone() one of them"
            )
        return storage, offset, _strides(array)


def root_of(array: Array) -> Array:
    """The array that owns the memory of ``array``, which may be a view of a view of it."""
    root = owner = array
    while (owner := getattr(owner, "base", None)) is not None:
        if isinstance(owner, type(array)):  # other objects, as as_strided's, only lie between
            root = owner
    return root


def _strides(array: Array) -> tuple[int, ...]:
    """In elements. An empty array's, which NumPy leaves to chance, are those of a dense one."""
    if array.size:
        return tuple(step // array.itemsize for step in array.strides)
    inner = [max(n, 1) for n in array.shape[:0:-1]]
    return tuple(accumulate(inner, mul, initial=1))[::-1]


def _placed(array: Array, root: Array) -> tuple[Array, int] | None:
    """``root`` as a flat array of ``array``'s dtype, and where in it ``array`` starts.

    None if ``array`` has no place there that an offset and positive strides can tell.
    """
    xp, size = type2backend[type(array)].xp, array.itemsize
    axes = sorted(range(root.ndim), key=lambda axis: -root.strides[axis])
    dense = xp.asarray(root).transpose(axes)  # asarray: a plain array of a memmap
    if not dense.flags.c_contiguous or root.nbytes % size:
        return None
    flat = dense.reshape(-1).view(array.dtype)
    start = _address(array) - _address(flat) if array.size else 0
    if start % size or any(step < 0 or step % size for step in array.strides):
        return None
    offset = start // size
    inside = offset >= 0 and _end(offset, array.shape, _strides(array)) <= flat.size
    return (flat, offset) if inside else None


def _address(array: Array) -> int:
    interface = getattr(array, "__cuda_array_interface__", None) or array.__array_interface__
    return interface["data"][0]


def extent(array: Array) -> tuple[int, int]:
    """The addresses that ``array``, which is not empty, reaches over: first byte, one past last."""
    reach = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    start = _address(array)
    first = start + sum(step for step in reach if step < 0)
    return first, start + sum(step for step in reach if step > 0) + array.itemsize


def _end(offset: int, shape: Sequence[int], strides: Sequence[int]) -> int:
    """One past the last element that a tensor reads; 0 for an empty one."""
    if 0 in shape:
        return 0
    return 1 + offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))


# Out of a file


def tensor_over(
    storage: Storage,
    offset: int,
    shape: Sequence[int],
    strides: Sequence[int],
    requires_grad: bool,
) -> Tensor | None:
    """The tensor that looks at ``storage`` so; None, but checked, while that is not read yet.

    Raises CorruptFileError if it would read outside, or cannot be.
    """
    numbers = (offset, *shape, *strides)
    if any(type(n) is not int or n < 0 for n in numbers) or len(shape) != len(strides):
        raise CorruptFileError(f"a tensor of shape {shape}, strides {strides}, offset {offset}")
    if len(shape) > MAX_DIMENSIONS:
        raise CorruptFileError(f"a tensor of {len(shape)} dimensions")
    if _end(offset, shape, strides) > storage.numel:
        raise CorruptFileError(
            f"a tensor of shape {shape}, strides {strides}, offset {offset} reads outside its "
            f"storage {storage.key} of {storage.numel} elements"
        )
    if type(requires_grad) is not bool or (requires_grad and not storage.dtype.is_floating_point):
        raise CorruptFileError(f"a {storage.dtype!r} tensor with requires_grad={requires_grad!r}")
    if storage.array is None:
        return None
    tensor = wrap(_strided(storage.array, offset, shape, strides))
    tensor.requires_grad = requires_grad
    return tensor


def _strided(flat: Array, offset: int, shape: Sequence[int], strides: Sequence[int]) -> Array:
    count, dense = 1, True
    for n, step in zip(reversed(shape), reversed(strides), strict=True):
        dense, count = dense and (n == 1 or step == count), count * n
    if dense or count == 0:
        return flat[offset : offset + count].reshape(shape)
    as_strided = type2backend[type(flat)].xp.lib.stride_tricks.as_strided
    return as_strided(flat[offset:], shape, [step * flat.itemsize for step in strides])


def restore(array: numpy.ndarray[Any, Any], location: str, map_location: MapLocation) -> Array:
    """``array``, just read, on the device where ``map_location`` wants what was at ``location``.

    Raises RuntimeError if that device is not there.
    """
    if map_location is None:
        return _move(array, location)
    if isinstance(map_location, (str, device)):
        return _move(array, str(map_location))
    if isinstance(map_location, Mapping):
        moved = cast("Mapping[str, str]", map_location)
        return _move(array, str(moved.get(location, location)))
    result = map_location(wrap(array), location)
    if result is None:
        return _move(array, location)
    if not isinstance(result, Tensor) or result.shape != array.shape:
        raise TypeError(f"map_location must return the storage it was given, or None; got {result}")
    return result.data


def _move(array: numpy.ndarray[Any, Any], location: str) -> Array:
    try:
        where = device(location)
    except (RuntimeError, TypeError):
        raise RuntimeError(
            f"don't know how to restore data location of a tensor (tagged with {location!r}); "
            "use gpunn.load with map_location='cpu'"
        ) from None
    if where.type == "cpu":
        return array
    problem = cuda_problem()
    if problem is not None:
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but gpunn.cuda.is_available() is "
            "False. If you are running on a CPU-only machine, please use gpunn.load with "
            "map_location=gpunn.device('cpu') to map your storages to the CPU. "
            f"(CUDA cannot be used: {problem})"
        )
    problem = cuda_problem(where.index)
    if problem is not None:
        raise RuntimeError(
            f"Attempting to deserialize object on CUDA device {where.index}: {problem}. Please "
            "use gpunn.load with map_location to map your storages to an existing device."
        )
    return wrap(array).to(where).data
