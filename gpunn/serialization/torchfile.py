"""``save`` and ``load``: PyTorch's file formats, without PyTorch and without running any code.

There are two forms: a zip archive of ``data.pkl`` and one entry per storage, and an older one, in
which pickles and storages follow each other. ``torch.load(weights_only=True)`` opens both.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from gpunn.backends import type2backend
from gpunn.device import device
from gpunn.serialization.files import (
    CorruptFileError,
    RefusedFileError,
    describe,
    naming,
    replacing,
)
from gpunn.serialization.pickler import Pickler
from gpunn.serialization.storages import Storage, StorageWriter, restore
from gpunn.serialization.tensorfile import load_file
from gpunn.serialization.unpickler import PICKLE_DAMAGE, Unpickler

if TYPE_CHECKING:
    from typing import TypeAlias

    from gpunn.serialization.storages import MapLocation

    Path: TypeAlias = str | bytes | os.PathLike[str]

_ALIGNMENT = 64  # PyTorch's, so that storages can be mapped into memory
_CHUNK = 1 << 20
_LARGE = 1 << 30  # bytes, from which an entry gets the longer header of zip64
_ENTRY_HEADER, _LENGTHS_AT = 30, 26  # its bytes before the name, and before both lengths
_ENCRYPTED = 1  # among a zip entry's flags
_FOLDER = "archive"
_ZIP_MAGIC = b"PK\x03\x04"
# The older form begins with two pickled numbers: a magic one, and the version 1001.
_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_VERSION = 1001
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_HEAD = _TAR_MAGIC_AT + len(_TAR_MAGIC)  # bytes that tell one form from another
_DAMAGE = (*PICKLE_DAMAGE, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error)


def save(
    obj: object,
    f: Path | BinaryIO,
    pickle_module: object = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write ``obj`` to the path or binary file ``f``, in the form of ``torch.save``.

    ``obj`` is made of tensors, parameters, dict, OrderedDict, Counter, list, tuple, set, str,
    bytes, int, float, bool, None, Size, dtypes and devices. Tensors that share memory do so again
    after loading; for that, the whole memory below a view is written (``clone()`` it if it is
    small). Attributes of tensors are kept; gradients and hooks stay behind. Equal objects give
    equal files.

    Pickles are always of protocol 2, which ``torch.load(weights_only=True)`` reads, and written by
    no module of Python's. ``_use_new_zipfile_serialization=False`` writes PyTorch's older form.

    A file at a path is replaced whole or not at all. Raises TypeError that names the part of
    ``obj`` which cannot be saved, before anything is written.
    """
    del pickle_module, pickle_protocol
    storages = StorageWriter()
    write = _write_zip if _use_new_zipfile_serialization else _write_legacy
    data = Pickler(storages, legacy=write is _write_legacy).dumps(obj)
    if isinstance(f, (str, bytes, os.PathLike)):
        with replacing(f) as path, open(path, "wb") as file:
            write(file, data, storages.storages)
    elif hasattr(f, "write"):
        write(f, data, storages.storages)
    else:
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute, "
            f"got {type(f).__name__}"
        )


def _write_zip(file: BinaryIO, data: bytes, storages: list[Storage]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        _write_entry(archive, "data.pkl", data)
        _write_entry(archive, "byteorder", sys.byteorder.encode())
        for storage in storages:
            _write_entry(archive, f"data/{storage.key}", _bytes_of(storage))
        _write_entry(archive, "version", b"3\n")


def _write_entry(archive: zipfile.ZipFile, name: str, data: Any) -> None:
    entry = zipfile.ZipInfo(f"{_FOLDER}/{name}")  # dated 1980: equal objects, equal files
    size = memoryview(data).nbytes
    large = size >= _LARGE
    before = archive.start_dir + _ENTRY_HEADER + len(entry.filename) + (20 if large else 0) + 4
    padding = -before % _ALIGNMENT
    entry.extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
    with archive.open(entry, "w", force_zip64=large) as out:
        out.write(data)


def _write_legacy(file: BinaryIO, data: bytes, storages: list[Storage]) -> None:
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": _LEGACY_VERSION, "little_endian": True, "type_sizes": sizes}
    file.write(_LEGACY_MAGIC)
    file.write(pickle.dumps(_LEGACY_VERSION, 2))
    file.write(pickle.dumps(system, 2))
    file.write(data)
    file.write(pickle.dumps([storage.key for storage in storages], 2))
    for storage in storages:
        flat = _bytes_of(storage).view(storage.dtype.numpy)
        file.write(struct.pack("<q", storage.numel))
        file.write(flat.astype(flat.dtype.newbyteorder("<")).view(np.uint8).data)


def _bytes_of(storage: Storage) -> np.ndarray[Any, Any]:
    return type2backend[type(storage.array)].to_numpy(storage.array).view(np.uint8)


def load(
    f: Path | BinaryIO,
    map_location: MapLocation = None,
    pickle_module: object = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    encoding: str = "utf-8",
) -> Any:
    """Read what ``save`` or ``torch.save`` wrote to the path or binary file ``f``.

    ``map_location`` says where storages go: a device, a dict ``{"cuda:0": "cpu"}``, or a function
    that gets a storage (as a 1-d tensor on the CPU) and its location, and returns it moved, or
    None. With ``mmap`` the file at a path is mapped into memory, and read where tensors are; what
    is written to them stays in memory. ``encoding`` is that of the texts of Python 2, or "bytes".
    A path that ends in ``.safetensors`` is read by ``load_file``.

    Nothing in a file is ever executed, ``weights_only=False`` or not: names outside a fixed list
    are refused, and ``pickle_module`` is not asked.

    Raises CorruptFileError, RefusedFileError (both RuntimeErrors of one line that names the file),
    OSError, or RuntimeError for a device that is not there.
    """
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if isinstance(f, (str, bytes, os.PathLike)):
        if os.fsdecode(f).endswith(".safetensors"):
            return _load_tensors(os.fsdecode(f), map_location)
        with open(f, "rb") as file:
            return _load(file, describe(f), map_location, encoding, mmap=bool(mmap))
    if mmap:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if not (hasattr(f, "seek") and f.seekable()):
        raise io.UnsupportedOperation(
            "seek. You can only gpunn.load from a file that is seekable. Please pre-load the data "
            "into a buffer like io.BytesIO and try to load from it instead."
        )
    return _load(f, describe(f), map_location, encoding, mmap=False)


def _load_tensors(path: str, map_location: MapLocation) -> Any:
    if map_location is None or isinstance(map_location, (str, device)):
        return load_file(path, map_location or "cpu")
    kind = "callable" if callable(map_location) else "dict"
    raise RuntimeError(
        f"Loading safetensors file with {kind} map_location is not supported. Use a device string "
        "or gpunn.device instead."
    )


def _load(
    file: BinaryIO, name: str, map_location: MapLocation, encoding: str, *, mmap: bool
) -> Any:
    start = file.tell()
    head = file.read(_HEAD)
    file.seek(start)
    # In three steps, so that whatever map_location raises passes through as it is.
    storages: dict[str, Storage] = {}
    if head.startswith(_ZIP_MAGIC):
        if not zipfile.is_zipfile(file):
            raise CorruptFileError(f"{name}: the file is cut short or damaged at its end")
        with naming(name, *_DAMAGE), zipfile.ZipFile(file) as archive:
            unpickler = _read_zip(archive, storages, encoding, name if mmap else None)
    elif mmap:
        raise RuntimeError(
            f"mmap can only be used with files saved with `gpunn.save({name}, "
            "_use_new_zipfile_serialization=True), please gpunn.save your checkpoint with this "
            "option in order to use mmap."
        )
    elif head.startswith(_LEGACY_MAGIC):
        with naming(name, *_DAMAGE):
            unpickler, length = _read_legacy(file.read(), storages, encoding)
        file.seek(start + length)  # where another object may follow
    else:
        raise _unknown(name, head)
    for storage in storages.values():
        storage.array = restore(storage.array, storage.location, map_location)
    with naming(name, *_DAMAGE):
        return unpickler.load()


def _unknown(name: str, head: bytes) -> RuntimeError:
    if not head:
        return CorruptFileError(f"{name}: the file is empty")
    if head[_TAR_MAGIC_AT:] == _TAR_MAGIC:
        return RefusedFileError(
            f"{name}: Cannot use ``weights_only=True`` with files saved in the legacy .tar format; "
            "load it in an old PyTorch and save it again"
        )
    return CorruptFileError(f"{name}: not a file that gpunn.save or torch.save wrote")


def _read_zip(
    archive: zipfile.ZipFile, storages: dict[str, Storage], encoding: str, mapped: str | None
) -> Unpickler:
    entries = archive.infolist()
    folder = entries[0].filename.partition("/")[0] if entries else ""
    names = {entry.filename for entry in entries}
    if f"{folder}/constants.pkl" in names:
        raise RefusedFileError(
            "Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``; "
            "save the state_dict() of torch.jit.load(...) instead"
        )
    if not all(map(_is_stored, entries)):
        raise CorruptFileError("its entries are compressed or encrypted; torch.save stores them")
    if sum(entry.file_size for entry in entries) > archive.start_dir:
        raise CorruptFileError("the sizes of its entries exceed that of the file")
    if f"{folder}/data.pkl" not in names:
        raise CorruptFileError("a zip file without data.pkl: not one that torch.save wrote")
    order = sys.byteorder  # as PyTorch takes it, where an older file does not say
    if f"{folder}/byteorder" in names:
        order = archive.read(f"{folder}/byteorder").decode()
    if order not in ("little", "big"):
        raise CorruptFileError(f"its byte order is {order!r}")
    unpickler = Unpickler(archive.read(f"{folder}/data.pkl"), storages, encoding)
    unpickler.load()
    for storage in storages.values():
        entry = archive.getinfo(f"{folder}/data/{storage.key}")
        expected = storage.numel * storage.dtype.itemsize
        if entry.file_size != expected:
            raise CorruptFileError(
                f"{entry.filename} has {entry.file_size} bytes, expected {expected}"
            )
        if mapped is not None and storage.numel:
            array = _map_storage(archive, entry, storage, mapped)
        else:
            array = _read_storage(archive, entry, storage)
        storage.array = _clean(array if order == sys.byteorder else array.byteswap())
    unpickler.position = 0
    return unpickler


def _is_stored(entry: zipfile.ZipInfo) -> bool:
    return (
        entry.compress_type == zipfile.ZIP_STORED
        and entry.compress_size == entry.file_size
        and not entry.flag_bits & _ENCRYPTED
    )


def _read_storage(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, storage: Storage
) -> np.ndarray[Any, Any]:
    array = np.empty(storage.numel, storage.dtype.numpy)
    memory = array.view(np.uint8)
    with archive.open(entry) as stream:  # which checks the CRC at its end
        for begin in range(0, entry.file_size, _CHUNK):  # so that it is not in memory twice
            chunk = stream.read(min(_CHUNK, entry.file_size - begin))
            memory[begin : begin + _CHUNK] = np.frombuffer(chunk, np.uint8)
    return array


def _map_storage(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, storage: Storage, path: str
) -> np.ndarray[Any, Any]:
    with archive.open(entry):  # which checks the entry's own header
        pass
    file: Any = archive.fp
    file.seek(entry.header_offset + _LENGTHS_AT)
    name_and_extra: tuple[int, int] = struct.unpack("<HH", file.read(4))
    begin = entry.header_offset + _ENTRY_HEADER + sum(name_and_extra)
    return np.asarray(np.memmap(path, storage.dtype.numpy, "c", begin, storage.numel))


def _read_legacy(data: bytes, storages: dict[str, Storage], encoding: str) -> tuple[Unpickler, int]:
    unpickler = Unpickler(data, storages, encoding)
    unpickler.load()  # the magic number
    version = unpickler.load()
    if version != _LEGACY_VERSION:
        raise CorruptFileError(f"Invalid protocol version: {version}")
    unpickler.load()  # facts about the machine that wrote it
    begin = unpickler.position
    unpickler.load()
    keys = unpickler.load()
    position = unpickler.position
    for key in keys:
        if str(key) not in storages:
            raise CorruptFileError(f"storage {key} belongs to no tensor")
        storage = storages[str(key)]
        (numel,) = struct.unpack_from("<q", data, position)
        stop = position + 8 + numel * storage.dtype.itemsize
        if numel != storage.numel or stop > len(data):
            raise CorruptFileError(f"storage {key} is cut short")
        array = np.frombuffer(data[position + 8 : stop], storage.dtype.numpy.newbyteorder("<"))
        storage.array = _clean(array.astype(storage.dtype.numpy))
        position = stop
    if any(storage.array is None for storage in storages.values()):
        raise CorruptFileError("a storage is missing")
    unpickler.position = begin
    return unpickler, position


def _clean(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # A byte other than 0 or 1, which PyTorch may leave in unset memory, is no bool of NumPy.
    return array.view(np.uint8) != 0 if array.dtype == np.bool_ else array
