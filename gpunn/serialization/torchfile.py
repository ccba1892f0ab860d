"""``save`` and ``load``: PyTorch's file formats, without PyTorch and without running any code.

Written is the zip form (``data.pkl`` and one entry per storage), which
``torch.load(weights_only=True)`` opens. Read are the zip form and the older form, where pickles
and storages follow each other.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from gpunn.backends import type2backend
from gpunn.serialization.files import CorruptFileError, describe, naming, replacing
from gpunn.serialization.pickler import Pickler
from gpunn.serialization.storages import Storage, StorageWriter, restore
from gpunn.serialization.unpickler import PICKLE_DAMAGE, Unpickler

if TYPE_CHECKING:
    from typing import TypeAlias

    from gpunn.serialization.storages import MapLocation

    Path: TypeAlias = str | bytes | os.PathLike[str]

_ALIGNMENT = 64  # PyTorch's, so that storages can be mapped into memory
_CHUNK = 1 << 20
_LARGE = 1 << 30  # bytes, from which an entry gets the longer header of zip64
_ENCRYPTED = 1  # among a zip entry's flags
_FOLDER = "archive"
_ZIP_MAGIC = b"PK\x03\x04"
# The older form begins with two pickled numbers: a magic one, and the version 1001.
_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_VERSION = 1001
_DAMAGE = (*PICKLE_DAMAGE, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error)


def save(obj: object, f: Path | BinaryIO) -> None:
    """Write ``obj`` to the path or binary file ``f``, in the form of ``torch.save``.

    ``obj`` is made of tensors, parameters, dict, OrderedDict, Counter, list, tuple, set, str,
    bytes, int, float, bool, None, Size, dtypes and devices. Tensors that share memory do so again
    after loading; for that, the whole memory below a view is written (``clone()`` it if it is
    small). Gradients, hooks and attributes of tensors stay behind. Equal objects give equal files.

    A file at a path is replaced whole or not at all. Raises TypeError that names the part of
    ``obj`` which cannot be saved, before anything is written.
    """
    storages = StorageWriter()
    data = Pickler(storages).dumps(obj)
    if isinstance(f, (str, bytes, os.PathLike)):
        with replacing(f) as path, open(path, "wb") as file:
            _write(file, data, storages.storages)
    elif hasattr(f, "write"):
        _write(f, data, storages.storages)
    else:
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute, "
            f"got {type(f).__name__}"
        )


def _write(file: BinaryIO, data: bytes, storages: list[Storage]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        _write_entry(archive, "data.pkl", data)
        _write_entry(archive, "byteorder", sys.byteorder.encode())
        for storage in storages:
            array = storage.array
            host = type2backend[type(array)].to_numpy(array)
            _write_entry(archive, f"data/{storage.key}", host.view(np.uint8))
        _write_entry(archive, "version", b"3\n")


def _write_entry(archive: zipfile.ZipFile, name: str, data: Any) -> None:
    entry = zipfile.ZipInfo(f"{_FOLDER}/{name}")  # dated 1980: equal objects, equal files
    size = memoryview(data).nbytes
    large = size >= _LARGE
    before = archive.start_dir + 30 + len(entry.filename) + (20 if large else 0) + 4
    padding = -before % _ALIGNMENT
    entry.extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
    with archive.open(entry, "w", force_zip64=large) as out:
        out.write(data)


def load(f: Path | BinaryIO, map_location: MapLocation = None, *, weights_only: bool = True) -> Any:
    """Read what ``save`` or ``torch.save`` wrote to the path or binary file ``f``.

    ``map_location`` says where storages go: a device, a dict ``{"cuda:0": "cpu"}``, or a function
    that gets a storage (as a 1-d tensor on the CPU) and its location, and returns it moved, or
    None. Nothing in a file is ever executed, ``weights_only=False`` or not: names outside a fixed
    list are refused.

    Raises CorruptFileError, RefusedFileError (both RuntimeErrors of one line that names the file),
    OSError, or RuntimeError for a device that is not there.
    """
    if isinstance(f, (str, bytes, os.PathLike)):
        with open(f, "rb") as file:
            return _load(file, describe(f), map_location)
    if not (hasattr(f, "seek") and f.seekable()):
        raise io.UnsupportedOperation(
            "seek. You can only gpunn.load from a file that is seekable. Please pre-load the data "
            "into a buffer like io.BytesIO and try to load from it instead."
        )
    return _load(f, describe(f), map_location)


def _load(file: BinaryIO, name: str, map_location: MapLocation) -> Any:
    start = file.tell()
    head = file.read(len(_LEGACY_MAGIC))
    file.seek(start)
    # In three steps, so that whatever map_location raises passes through as it is.
    storages: dict[str, Storage] = {}
    if head.startswith(_ZIP_MAGIC):
        if not zipfile.is_zipfile(file):
            raise CorruptFileError(f"{name}: the file is cut short or damaged at its end")
        with naming(name, *_DAMAGE), zipfile.ZipFile(file) as archive:
            unpickler = _read_zip(archive, storages)
    elif head == _LEGACY_MAGIC:
        with naming(name, *_DAMAGE):
            unpickler = _read_legacy(file.read(), storages)
    elif not head:
        raise CorruptFileError(f"{name}: the file is empty")
    else:
        raise CorruptFileError(f"{name}: not a file that gpunn.save or torch.save wrote")
    for storage in storages.values():
        storage.array = restore(storage.array, storage.location, map_location)
    with naming(name, *_DAMAGE):
        return unpickler.load()


def _read_zip(archive: zipfile.ZipFile, storages: dict[str, Storage]) -> Unpickler:
    entries = archive.infolist()
    if not all(map(_is_stored, entries)):
        raise CorruptFileError("its entries are compressed or encrypted; torch.save stores them")
    if sum(entry.file_size for entry in entries) > archive.start_dir:
        raise CorruptFileError("the sizes of its entries exceed that of the file")
    folder = entries[0].filename.partition("/")[0] if entries else ""
    names = {entry.filename for entry in entries}
    if f"{folder}/data.pkl" not in names:
        raise CorruptFileError("a zip file without data.pkl: not one that torch.save wrote")
    order = sys.byteorder  # as PyTorch takes it, where an older file does not say
    if f"{folder}/byteorder" in names:
        order = archive.read(f"{folder}/byteorder").decode()
    if order not in ("little", "big"):
        raise CorruptFileError(f"its byte order is {order!r}")
    unpickler = Unpickler(archive.read(f"{folder}/data.pkl"), storages)
    unpickler.load()
    for storage in storages.values():
        array = _read_storage(archive, f"{folder}/data/{storage.key}", storage)
        storage.array = _clean(array if order == sys.byteorder else array.byteswap())
    unpickler.position = 0
    return unpickler


def _is_stored(entry: zipfile.ZipInfo) -> bool:
    return (
        entry.compress_type == zipfile.ZIP_STORED
        and entry.compress_size == entry.file_size
        and not entry.flag_bits & _ENCRYPTED
    )


def _read_storage(archive: zipfile.ZipFile, name: str, storage: Storage) -> np.ndarray[Any, Any]:
    size, expected = archive.getinfo(name).file_size, storage.numel * storage.dtype.itemsize
    if size != expected:
        raise CorruptFileError(f"{name} has {size} bytes, expected {expected}")
    array = np.empty(storage.numel, storage.dtype.numpy)
    memory = array.view(np.uint8)
    with archive.open(name) as stream:  # which checks the CRC at its end
        for begin in range(0, size, _CHUNK):  # by chunks, so that it is not in memory twice
            chunk = stream.read(min(_CHUNK, size - begin))
            memory[begin : begin + _CHUNK] = np.frombuffer(chunk, np.uint8)
    return array


def _read_legacy(data: bytes, storages: dict[str, Storage]) -> Unpickler:
    unpickler = Unpickler(data, storages)
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
    return unpickler


def _clean(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # A byte other than 0 or 1, which PyTorch may leave in unset memory, is no bool of NumPy.
    return array.view(np.uint8) != 0 if array.dtype == np.bool_ else array
