"""Reads the pickle inside PyTorch's files: a small machine that can build data, and nothing else.

It never imports, never calls what the file names, and knows only the opcodes below and the names of
``allowed``. Whatever else the file asks for is refused by name. Python's unpickler, even with its
``find_class`` restricted, would still set attributes of all it has made, and allocate what a memo's
index says.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar, cast

from gpunn.serialization.allowed import (
    CLASSES,
    CONSTANTS,
    MAKERS,
    STORAGES,
    Name,
    checked_key,
    refusal,
    set_attributes,
)
from gpunn.serialization.files import CorruptFileError, RefusedFileError
from gpunn.serialization.storages import Storage

if TYPE_CHECKING:
    from collections.abc import Callable

# What a malformed pickle makes the machine stumble over.
PICKLE_DAMAGE = (
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    RecursionError,
    struct.error,
)


class Unpickler:
    """Reads pickles that follow each other in ``data``; ``position`` is where the next begins.

    ``storages`` is filled with those that the pickle names. While a storage has no array, the
    tensors over it are checked, and None stands for them: so a first ``load`` finds out what to
    read, and a second one builds the object.

    Raises RefusedFileError for what is not allowed, and CorruptFileError or one of
    ``PICKLE_DAMAGE`` for what makes no sense.
    """

    def __init__(self, data: bytes, storages: dict[str, Storage], encoding: str = "utf-8") -> None:
        self.position = 0
        self._encoding = encoding  # of the texts of Python 2
        self._data = data
        self._storages = storages
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The next object."""
        self._stack, self._marked, self._memo = [], [], {}
        while (opcode := self._take(1)) != pickle.STOP:
            operation = self._operations.get(opcode)
            if operation is None:
                raise RefusedFileError(
                    f"Weights only load failed: Unsupported operand {opcode!r} of the pickle "
                    f"at byte {self.position - 1}; nothing was executed"
                )
            operation(self)
        if isinstance(self._stack[-1], (Storage, Name)):
            raise RefusedFileError("the file holds a storage or a class, and no tensor")
        return self._stack.pop()

    # Reading

    def _take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if self.position > len(self._data):
            raise CorruptFileError("the pickle ends too soon")
        return self._data[start : self.position]

    def _take_int(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def _line(self) -> str:
        start = self.position
        self.position = self._data.index(b"\n", start) + 1
        return self._data[start : self.position - 1].decode()

    # Plain values

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _number(self, layout: str) -> None:
        self._stack.extend(struct.unpack(layout, self._take(struct.calcsize(layout))))

    def _long(self, width: int) -> None:
        self._push(int.from_bytes(self._take(self._take_int(width)), "little", signed=True))

    def _text(self, width: int) -> None:
        self._push(self._take(self._take_int(width)).decode("utf-8", "surrogatepass"))

    def _old_text(self, width: int) -> None:
        text = self._take(self._take_int(width))
        self._push(text if self._encoding == "bytes" else text.decode(self._encoding))

    def _bytes(self, width: int) -> None:
        self._push(self._take(self._take_int(width)))

    # The memo

    def _put(self, width: int) -> None:
        self._memo[self._take_int(width)] = self._stack[-1]

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, width: int) -> None:
        self._push(self._memo[self._take_int(width)])

    # Containers

    def _mark(self) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _tuple(self) -> None:
        items = tuple(self._since_mark())
        self._push(items)

    def _short_tuple(self, length: int) -> None:
        self._stack[-length:] = [tuple(self._stack[-length:])]

    def _extend(self, items: list[Any]) -> None:
        self._target(list).extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._target(dict, OrderedDict, Counter)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def _add_items(self) -> None:
        items = self._since_mark()
        self._target(set).update(map(checked_key, items))

    def _target(self, *kinds: type) -> Any:
        target = self._stack[-1]
        if type(target) not in kinds:
            raise CorruptFileError(f"the pickle puts items into a {type(target).__name__}")
        return target

    # Names and what may be made by them

    def _global(self) -> None:
        module = self._line()
        self._named(module, self._line())

    def _stack_global(self) -> None:
        name = self._stack.pop()
        self._named(self._stack.pop(), name)

    def _named(self, module: str, name: str) -> None:
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if full in CONSTANTS:
            self._push(CONSTANTS[full])
        elif full in MAKERS or full in STORAGES or full in CLASSES:
            self._push(Name(full))
        else:
            raise RefusedFileError(refusal(full))

    def _reduce(self) -> None:
        arguments, maker = self._stack.pop(), self._stack.pop()
        if not isinstance(maker, Name) or type(arguments) is not tuple:
            raise CorruptFileError("the pickle calls what is no function")
        if maker.name not in MAKERS:
            raise CorruptFileError(f"the pickle calls {maker.name}")
        self._push(MAKERS[maker.name](*cast("tuple[Any, ...]", arguments)))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if type(target) is not OrderedDict or type(state) is not dict:
            raise RefusedFileError(
                "Weights only load failed: only an OrderedDict may have attributes, got a "
                f"{type(cast('object', target)).__name__}; nothing was executed"
            )
        set_attributes(cast("object", target), cast("dict[str, Any]", state))

    def _storage(self) -> None:
        word, kind, key, location, numel, *view = self._stack.pop()
        kinds: list[type] = [type(part) for part in (word, kind, key, location, numel)]
        if kinds != [str, Name, str, str, int] or word != "storage":
            raise CorruptFileError("the pickle refers to what is no storage")
        if any(part is not None for part in view):
            raise RefusedFileError(f"storage {key} is a view of another, which gpunn does not read")
        new = Storage(key, STORAGES[kind.name], numel, location)
        storage = self._storages.setdefault(key, new)
        if (storage.dtype, storage.numel) != (new.dtype, numel):
            raise CorruptFileError(f"storage {key} is described in two ways")
        self._push(storage)

    # A function of self for every opcode; a number says how many bytes its length or index takes.
    _operations: ClassVar[dict[bytes, Callable[[Unpickler], object]]] = {
        pickle.PROTO: lambda self: self._take(1),
        pickle.FRAME: lambda self: self._take(8),
        pickle.NONE: lambda self: self._push(None),
        pickle.NEWTRUE: lambda self: self._push(True),
        pickle.NEWFALSE: lambda self: self._push(False),
        pickle.BININT: lambda self: self._number("<i"),
        pickle.BININT1: lambda self: self._number("<B"),
        pickle.BININT2: lambda self: self._number("<H"),
        pickle.BINFLOAT: lambda self: self._number(">d"),
        pickle.LONG1: lambda self: self._long(1),
        pickle.LONG4: lambda self: self._long(4),
        pickle.SHORT_BINSTRING: lambda self: self._old_text(1),
        pickle.BINSTRING: lambda self: self._old_text(4),
        pickle.SHORT_BINUNICODE: lambda self: self._text(1),
        pickle.BINUNICODE: lambda self: self._text(4),
        pickle.BINUNICODE8: lambda self: self._text(8),
        pickle.SHORT_BINBYTES: lambda self: self._bytes(1),
        pickle.BINBYTES: lambda self: self._bytes(4),
        pickle.BINBYTES8: lambda self: self._bytes(8),
        pickle.BYTEARRAY8: lambda self: self._push(bytearray(self._take(self._take_int(8)))),
        pickle.BINPUT: lambda self: self._put(1),
        pickle.LONG_BINPUT: lambda self: self._put(4),
        pickle.MEMOIZE: _memoize,
        pickle.BINGET: lambda self: self._get(1),
        pickle.LONG_BINGET: lambda self: self._get(4),
        pickle.MARK: _mark,
        pickle.EMPTY_TUPLE: lambda self: self._push(()),
        pickle.TUPLE1: lambda self: self._short_tuple(1),
        pickle.TUPLE2: lambda self: self._short_tuple(2),
        pickle.TUPLE3: lambda self: self._short_tuple(3),
        pickle.TUPLE: _tuple,
        pickle.EMPTY_LIST: lambda self: self._push([]),
        pickle.APPEND: lambda self: self._extend([self._stack.pop()]),
        pickle.APPENDS: lambda self: self._extend(self._since_mark()),
        pickle.EMPTY_DICT: lambda self: self._push({}),
        pickle.SETITEM: lambda self: self._update([self._stack.pop(-2), self._stack.pop()]),
        pickle.SETITEMS: lambda self: self._update(self._since_mark()),
        pickle.EMPTY_SET: lambda self: self._push(set[Any]()),
        pickle.ADDITEMS: _add_items,
        pickle.GLOBAL: _global,
        pickle.STACK_GLOBAL: _stack_global,
        pickle.REDUCE: _reduce,
        pickle.BUILD: _build,
        pickle.BINPERSID: _storage,
    }
