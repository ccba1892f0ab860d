"""Writes an object as the pickle that PyTorch would write; knows PyTorch's names, not PyTorch.

Python's own pickler writes a name only if it can import it, and would take any object. Here only
what ``torch.load(weights_only=True)`` reads can be written. A tensor's values are not in the
pickle: it refers to a storage, which ``StorageWriter`` keeps.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gpunn.device import device
from gpunn.dtype import dtype
from gpunn.nn.parameter import Parameter
from gpunn.serialization.storages import Storage
from gpunn.tensor import Tensor
from gpunn.values import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from gpunn.serialization.storages import StorageWriter


_REBUILD = "torch._utils _rebuild_"


class _Global(str):
    """A name among values, as ``"torch Tensor"``."""


class Pickler:
    """Writes one pickle of protocol 2, the one that ``torch.load(weights_only=True)`` reads.

    ``legacy``: as part of PyTorch's older form, which also says what a storage is a view of.
    """

    def __init__(self, storages: StorageWriter, *, legacy: bool = False) -> None:
        self._storages = storages
        self._legacy = legacy
        self._out: list[bytes] = []
        self._path = ["obj"]
        # Texts and names by value, the rest by id; what has an id here is kept alive.
        self._memo: dict[Hashable, int] = {}
        self._kept: list[object] = []

    def dumps(self, obj: object) -> bytes:
        """The pickle. Raises TypeError that names the part of ``obj`` no weights file can hold."""
        self._out = [pickle.PROTO, b"\x02"]
        try:
            self._save(obj)
        except RecursionError:
            raise RecursionError("cannot save obj: it is nested too deeply") from None
        self._out.append(pickle.STOP)
        return b"".join(self._out)

    def _save(self, obj: Any) -> None:
        if id(obj) in self._memo:
            self._get(id(obj))
        elif type(obj) in self._writers:
            self._writers[type(obj)](self, obj)
        elif isinstance(obj, Tensor):
            self._save_tensor(obj)
        else:
            raise TypeError(
                f"cannot save {''.join(self._path)}: a weights file cannot hold an object of type "
                f"{type(obj).__module__}.{type(obj).__qualname__}; {_hint(obj)}"
            )

    def _memorise(self, key: Hashable) -> None:
        index = self._memo[key] = len(self._memo)
        self._indexed(pickle.BINPUT, pickle.LONG_BINPUT, index)

    def _memorise_object(self, obj: object) -> None:
        self._kept.append(obj)
        self._memorise(id(obj))

    def _get(self, key: Hashable) -> None:
        self._indexed(pickle.BINGET, pickle.LONG_BINGET, self._memo[key])

    def _indexed(self, short: bytes, long: bytes, index: int) -> None:
        self._out.append(short + bytes([index]) if index < 256 else long + struct.pack("<I", index))

    def _global(self, name: str) -> None:
        """A class or function, as ``"torch._utils _rebuild_tensor_v2"``."""
        key = ("global", name)
        if key in self._memo:
            self._get(key)
        else:
            self._out.append(pickle.GLOBAL + name.replace(" ", "\n").encode() + b"\n")
            self._memorise(key)

    def _call(self, name: str, *arguments: object) -> None:
        self._global(name)
        self._out.append(pickle.MARK)
        for argument in arguments:
            self._save(argument)
        self._out.append(pickle.TUPLE + pickle.REDUCE)

    # Plain values

    def _save_none(self, _: None) -> None:
        self._out.append(pickle.NONE)

    def _save_bool(self, value: bool) -> None:
        self._out.append(pickle.NEWTRUE if value else pickle.NEWFALSE)

    def _save_int(self, value: int) -> None:
        if 0 <= value < 1 << 8:
            self._out.append(pickle.BININT1 + bytes([value]))
        elif -(1 << 31) <= value < 1 << 31:
            self._out.append(pickle.BININT + struct.pack("<i", value))
        else:
            digits = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            if len(digits) > 255:
                raise TypeError(
                    f"cannot save {''.join(self._path)}: an int of {len(digits)} bytes is more "
                    "than the 255 that PyTorch reads"
                )
            self._out.append(pickle.LONG1 + bytes([len(digits)]) + digits)

    def _save_float(self, value: float) -> None:
        self._out.append(pickle.BINFLOAT + struct.pack(">d", value))

    def _save_complex(self, value: complex) -> None:
        self._call("__builtin__ complex", value.real, value.imag)

    def _save_str(self, value: str) -> None:
        if value in self._memo:
            self._get(value)
        else:
            encoded = value.encode("utf-8", "surrogatepass")
            self._out.append(pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded)
            self._memorise(value)

    def _save_bytes(self, value: bytes) -> None:
        # Protocol 2 knows no bytes: they travel as text.
        self._call("_codecs encode", value.decode("latin1"), "latin1")

    def _save_bytearray(self, value: bytearray) -> None:
        self._call("__builtin__ bytearray", value.decode("latin1"), "latin-1")
        self._memorise_object(value)

    # Containers

    def _save_tuple(self, values: tuple[object, ...]) -> None:
        self._out.append(pickle.MARK)
        self._save_each(values)
        self._out.append(pickle.TUPLE)
        self._memorise_object(values)

    def _save_list(self, values: list[object]) -> None:
        self._out.append(pickle.EMPTY_LIST)
        self._memorise_object(values)
        self._out.append(pickle.MARK)
        self._save_each(values)
        self._out.append(pickle.APPENDS)

    def _save_each(self, values: Iterable[object]) -> None:
        for index, value in enumerate(values):
            self._path.append(f"[{index}]")
            self._save(value)
            self._path.pop()

    def _save_set(self, values: set[Any]) -> None:
        try:
            ordered = sorted(values)  # equal sets then give equal files
        except TypeError:
            ordered = list(values)
        self._call("__builtin__ set", ordered)
        self._memorise_object(values)

    def _save_dict(self, values: dict[object, object]) -> None:
        self._out.append(pickle.EMPTY_DICT)
        self._memorise_object(values)
        self._save_items(values)

    def _save_ordered_dict(self, values: OrderedDict[object, object]) -> None:
        self._call("collections OrderedDict")
        self._memorise_object(values)
        self._save_items(values)
        # A module's state_dict() carries its _metadata there; OrderedDict[...]() leaves its type.
        attributes = {k: v for k, v in vars(values).items() if k != "__orig_class__"}
        if attributes:
            self._path.append(".__dict__")
            self._save(attributes)
            self._path.pop()
            self._out.append(pickle.BUILD)

    def _save_counter(self, values: Counter[object]) -> None:
        self._call("collections Counter", dict(values))  # PyTorch's MultiStepLR has one
        self._memorise_object(values)

    def _save_items(self, values: dict[object, object]) -> None:
        self._out.append(pickle.MARK)
        for key, value in values.items():
            self._path.append(f"[{key!r}]")
            self._save(key)
            self._save(value)
            self._path.pop()
        self._out.append(pickle.SETITEMS)

    # What PyTorch has a class for

    def _save_size(self, size: Size) -> None:
        self._call("torch Size", tuple(size))

    def _save_dtype(self, value: dtype) -> None:
        self._global(f"torch {value.name}")

    def _save_device(self, where: device) -> None:
        self._call("torch device", where.type, *(() if where.index is None else (where.index,)))

    def _save_tensor(self, tensor: Tensor) -> None:
        hooks: OrderedDict[object, object] = OrderedDict()  # always empty: hooks are code
        attributes = dict(vars(tensor))
        if isinstance(tensor, Parameter):
            arguments = tensor.detach(), tensor.requires_grad, hooks
            if attributes:
                self._call(_REBUILD + "parameter_with_state", *arguments, attributes)
            else:
                self._call(_REBUILD + "parameter", *arguments)
        else:
            storage, offset, strides = self._storages.place(tensor, "".join(self._path))
            arguments = storage, offset, tuple(tensor.shape), strides, tensor.requires_grad, hooks
            if attributes:
                name, kind = _Global(_REBUILD + "tensor_v2"), _Global("torch Tensor")
                self._call("torch._tensor _rebuild_from_type_v2", name, kind, arguments, attributes)
            else:
                self._call(_REBUILD + "tensor_v2", *arguments)
        self._memorise_object(tensor)

    def _save_storage(self, storage: Storage) -> None:
        self._out.append(pickle.MARK)
        self._save("storage")
        self._global(f"torch {storage.type_name}")
        for value in (storage.key, storage.location, storage.numel):
            self._save(value)
        if self._legacy:
            self._save(None)
        self._out.append(pickle.TUPLE + pickle.BINPERSID)

    # By exact type: a subclass (an enum, a named tuple) would come back as something else.
    _writers: ClassVar[dict[type, Callable[[Pickler, Any], None]]] = {
        type(None): _save_none,
        bool: _save_bool,
        int: _save_int,
        float: _save_float,
        complex: _save_complex,
        str: _save_str,
        bytes: _save_bytes,
        bytearray: _save_bytearray,
        tuple: _save_tuple,
        list: _save_list,
        set: _save_set,
        dict: _save_dict,
        OrderedDict: _save_ordered_dict,
        Counter: _save_counter,
        Size: _save_size,
        dtype: _save_dtype,
        device: _save_device,
        Storage: _save_storage,
        _Global: lambda self, name: self._global(name),
    }


def _hint(obj: object) -> str:
    if hasattr(obj, "state_dict"):
        return "save its state_dict() instead"
    if isinstance(obj, np.generic):
        return "save .item() of it instead"
    if isinstance(obj, np.ndarray):
        return "save gpunn.from_numpy(...) of it instead"
    return (
        "expected tensors, parameters, dict, OrderedDict, Counter, list, tuple, set, str, bytes, "
        "int, float, bool, None, gpunn.Size, dtypes or devices"
    )
