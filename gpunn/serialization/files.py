"""Files that are replaced whole or not at all, and the errors of files that cannot be read."""

from __future__ import annotations

import errno
import os
import pickle
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Generator


class CorruptFileError(RuntimeError):
    """The file is damaged, cut short, or not of the format it was read as."""


class RefusedFileError(pickle.UnpicklingError, RuntimeError):
    """The file asks for something a weights file has no need of; nothing of it was executed."""


def describe(f: object) -> str:
    """What messages call ``f``: a path, the name of an open file, or its type."""
    if isinstance(f, (str, bytes, os.PathLike)):
        return os.fsdecode(cast("str | bytes | os.PathLike[str]", f))
    name = getattr(f, "name", None)
    return name if isinstance(name, str) else f"<{type(f).__name__}>"


@contextmanager
def naming(name: str, *damage: type[Exception]) -> Generator[None]:
    """Begin the message of a file's error with its name; report ``damage`` as CorruptFileError."""
    try:
        yield
    except (CorruptFileError, RefusedFileError) as error:
        raise type(error)(f"{name}: {_one_line(error)}") from None
    except damage as error:
        reason = f"{type(error).__name__}: {_one_line(error)}"
        raise CorruptFileError(f"{name}: the file is damaged ({reason})") from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else f"{text[:400]}..."  # a file may hold names of any length


@contextmanager
def replacing(path: str | bytes | os.PathLike[str]) -> Generator[str]:
    """A new file to write (its path), which takes the place of ``path`` once it is on the disk.

    If the block raises, the old file is untouched and the new one is gone. A symbolic link stays
    one; a pipe or a device, which cannot be replaced, is handed out itself.
    """
    target = os.path.realpath(os.fsdecode(path))
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist.")
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fsdecode(path))
    exists = os.path.exists(target)
    if exists and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(path))
    if exists and not os.path.isfile(target):
        yield target
        return
    temporary = os.path.join(folder, f".gpunn-{secrets.token_hex(8)}.tmp")
    try:
        # Unlike tempfile's 0o600, this mode is subject to the umask, as open()'s is.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        mode = os.stat(target if exists else temporary).st_mode
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, stat.S_IMODE(mode))  # whatever the block's writer made of it
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, temporary):
            error.filename = os.fsdecode(path)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    # The rename itself must survive a power cut; where folders cannot be opened, it is lost.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
