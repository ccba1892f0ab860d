"""Reads IDX files, the format of MNIST, and says in one line what is wrong with a bad one."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


class DataFileError(RuntimeError):
    """A data file is missing, cut short, corrupt, or not what it should be.

    The message is one line: the path, what was found, and what was expected.
    """


def read_file(path: Path) -> bytes:
    """Return the bytes of the file ``path``, whole and as they lie on the disk."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def parse_idx(path: Path, content: bytes, ndim: int) -> numpy.ndarray:
    """Return the uint8 array of ``ndim`` dimensions that the IDX file ``content`` holds.

    An IDX file is two zero bytes, a byte for the type (8: unsigned byte), a byte for the number of
    dimensions, each dimension as a big-endian uint32, then the values, the last dimension running
    fastest. A gzip file is recognised by its content and unpacked first. ``path`` is for messages.
    The array is read-only: it lies in the file's own bytes.
    """
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except EOFError as error:
            raise DataFileError(
                f"{path}: cut short: the gzip stream ends after {len(content)} bytes of the file, "
                "expected its end marker"
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataFileError(
                f"{path}: corrupt: expected a valid gzip stream, found: {error}"
            ) from error

    start = 4 + 4 * ndim
    magic, expected_magic = int.from_bytes(content[:4], "big"), _UNSIGNED_BYTE << 8 | ndim
    if len(content) >= 4 and magic != expected_magic:
        raise DataFileError(
            f"{path}: not the expected IDX file: found the magic number {magic}, expected "
            f"{expected_magic} (unsigned bytes in {ndim} dimension{'s' if ndim > 1 else ''})"
        )
    if len(content) < start:
        raise DataFileError(
            f"{path}: cut short: found {len(content)} bytes, expected an IDX header "
            f"of {start} bytes"
        )
    shape = tuple(int.from_bytes(content[4 * i : 4 * i + 4], "big") for i in range(1, ndim + 1))
    found, expected = len(content) - start, math.prod(shape)
    if found != expected:
        raise DataFileError(
            f"{path}: {'cut short' if found < expected else 'corrupt'}: found {found} bytes of "
            f"values, expected {expected} for the shape {shape} of its header"
        )
    return numpy.frombuffer(content, numpy.uint8, offset=start).reshape(shape)


def read_idx(path: Path, ndim: int) -> numpy.ndarray:
    """Return the uint8 array in the IDX file ``path``, plain or gzip, of ``ndim`` dimensions."""
    return parse_idx(path, read_file(path), ndim)
