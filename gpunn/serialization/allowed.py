"""The names that a file of weights may use, and what gpunn makes of them: nothing else is built.

Whatever the arguments in a file are, what stands here checks them before it builds anything.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from gpunn.device import device
from gpunn.dtype import DTYPES
from gpunn.nn.parameter import Parameter
from gpunn.serialization.files import CorruptFileError, RefusedFileError
from gpunn.serialization.storages import TYPE_NAMES, Storage, tensor_over
from gpunn.tensor import Tensor
from gpunn.values import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LATIN1 = frozenset(("latin1", "latin-1"))
_MAX_KEY_PARTS = 1000  # hashing a tuple recurses in C, without a limit


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the file names: a word to look up, never the thing itself."""

    name: str


def checked_key(key: Any) -> Any:
    """``key``, if it can be hashed in peace."""
    parts, rest = 0, [key]
    while rest:
        part = rest.pop()
        parts += 1
        if parts > _MAX_KEY_PARTS:
            raise CorruptFileError("a key is nested too deeply")
        if isinstance(part, tuple):
            rest.extend(cast("tuple[Any, ...]", part))
    return key


def refusal(name: str) -> str:
    """What to say of ``name``, which is not allowed."""
    package, _, kind = name.rpartition(".")
    if package == "torch" and kind.endswith("Storage"):
        kind = kind.removesuffix("Storage")
        names = {"ComplexFloat": "complex64", "ComplexDouble": "complex128"}
        return (
            f"a tensor has dtype {names.get(kind, kind)}, which gpunn does not have; convert it "
            "in PyTorch, to float32 for instance, and save it again"
        )
    if kind == "_rebuild_tensor_v3":
        return (
            "a tensor has a dtype (uint16, uint32, uint64 or a float8) which gpunn does not have; "
            "convert it in PyTorch and save it again"
        )
    advice = "save a module's state_dict()"
    if package.startswith("numpy"):
        advice = "save .item() of a NumPy number, torch.from_numpy() of an array"
    return (
        f"Weights only load failed: Unsupported global: GLOBAL {name} was not an allowed global. "
        f"gpunn.load makes tensors, parameters and plain containers only ({advice}); nothing was "
        "executed"
    )


def _rebuild_tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: bool = False,
    hooks: object = None,
    metadata: object = None,
) -> Tensor | None:
    plain = metadata is None or (type(metadata) is dict and not metadata)
    if not isinstance(storage, Storage) or not plain:
        raise CorruptFileError("a tensor without storage, or with metadata gpunn does not know")
    return tensor_over(storage, offset, tuple(shape), tuple(strides), requires_grad)


def set_attributes(target: object, state: dict[str, Any]) -> None:
    """Give ``target`` attributes of its own. Raises RefusedFileError for those its class has."""
    for name in state:
        if type(name) is not str or hasattr(type(target), name):
            raise RefusedFileError(
                f"Weights only load failed: the file replaces {type(target).__name__}.{name}; "
                "nothing was executed"
            )
    vars(target).update(state)


def _with_attributes(tensor: Any, state: Any) -> Tensor | None:
    if type(state) is tuple:  # slots follow, where a class has them
        state = cast("tuple[Any, ...]", state)[0]
    if type(state) is not dict:
        raise CorruptFileError("a tensor whose attributes are no dict")
    if tensor is not None:  # otherwise not read yet
        set_attributes(tensor, cast("dict[str, Any]", state))
    return tensor


def _rebuild_from_type(maker: Any, kind: Any, arguments: Any, state: Any) -> Tensor | None:
    names = [part.name if isinstance(part, Name) else "" for part in (maker, kind)]
    if names[0] not in _TENSORS or names[1] not in CLASSES:
        raise CorruptFileError("a tensor made by what makes no tensors")
    return _with_attributes(_TENSORS[names[0]](*arguments), state)


def _rebuild_parameter_with_state(
    data: Any, requires_grad: bool, hooks: object, state: Any
) -> Tensor | None:
    return _with_attributes(_rebuild_parameter(data, requires_grad, hooks), state)


def _rebuild_parameter(data: Any, requires_grad: bool, hooks: object) -> Parameter | None:
    if data is None:  # not read yet
        return None
    if not isinstance(data, Tensor) or type(requires_grad) is not bool:
        raise CorruptFileError("a parameter without tensor")
    if requires_grad and not data.dtype.is_floating_point:
        raise CorruptFileError(f"a {data.dtype!r} parameter with requires_grad=True")
    return Parameter(data, requires_grad)


def _size(numbers: Any) -> Size:
    if any(type(n) is not int for n in numbers):
        raise CorruptFileError("a Size that is not made of integers")
    return Size(numbers)


def _device(kind: str, index: int | None = None) -> device:
    try:
        return device(kind, index)
    except RuntimeError as error:
        raise RefusedFileError(str(error)) from None


def _ordered_dict(items: Iterable[tuple[Any, Any]] = ()) -> OrderedDict[Any, Any]:
    return OrderedDict((checked_key(key), value) for key, value in items)


def _counter(items: dict[Any, Any]) -> Counter[Any]:
    if type(items) is not dict:
        raise CorruptFileError("a Counter of what is no dict")
    return Counter(items)


def _set(items: Iterable[Any]) -> set[Any]:
    return set(map(checked_key, items))


def _encode(text: str, encoding: str) -> bytes:
    if type(text) is not str or encoding not in _LATIN1:
        raise CorruptFileError("bytes that are no text in latin1")
    return text.encode("latin1")


def _bytearray(text: str | bytes = b"", encoding: str = "latin1") -> bytearray:
    # Never bytearray(number), which allocates what the file likes.
    return bytearray(text if isinstance(text, bytes) else _encode(text, encoding))


def _complex(real: float, imag: float) -> complex:
    return complex(real, imag)


CONSTANTS = {f"torch.{kind.name}": kind for kind in DTYPES}
STORAGES = {f"torch.{name}": kind for name, kind in TYPE_NAMES.items()}
CLASSES = ("torch.Tensor", "torch.nn.parameter.Parameter")
_TENSORS: dict[str, Callable[..., Tensor | None]] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter_with_state,
}
MAKERS: dict[str, Callable[..., object]] = {
    **_TENSORS,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _counter,
    "builtins.set": _set,
    "builtins.bytes": lambda: b"",  # as Python writes empty ones, and no others
    "builtins.bytearray": _bytearray,
    "builtins.complex": _complex,
    "_codecs.encode": _encode,
}
