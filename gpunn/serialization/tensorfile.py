"""``save_file`` and ``load_file``: named tensors in safetensors form, through its own package."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunn.autograd.variable import wrap
from gpunn.backends import type2backend
from gpunn.device import device as Device
from gpunn.dtype import DTYPES
from gpunn.serialization.files import CorruptFileError, RefusedFileError, describe, replacing
from gpunn.serialization.storages import extent
from gpunn.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the format calls the dtypes gpunn has, as F32.
_KNOWN = {
    kind.name.replace("uint", "u").replace("int", "i").replace("float", "f").upper()
    for kind in DTYPES
}


def save_file(
    tensors: Mapping[str, Tensor],
    filename: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named tensors, and texts about them, to a .safetensors file.

    The file is replaced whole or not at all. The format knows shapes and values only: strides and
    ``requires_grad`` are not kept. Raises TypeError for what is not a tensor under a name, and
    RuntimeError, naming both, if two tensors share memory (the format would write it twice).
    """
    # Annotated in part only.
    from safetensors import SafetensorError
    from safetensors.numpy import save_file as write  # pyright: ignore[reportUnknownVariableType]

    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise TypeError(
                f"save_file: expected a dict of names and tensors, got {name!r}: a "
                f"{type(tensor).__name__}"
            )
    _check_apart(tensors)
    arrays = {name: _host(tensor) for name, tensor in tensors.items()}
    with replacing(filename) as path:
        try:
            write(arrays, path, None if metadata is None else dict(metadata))
        except SafetensorError as error:
            raise OSError(f"{describe(filename)}: cannot be written: {error}") from error


def _host(tensor: Tensor) -> np.ndarray[Any, Any]:
    array = type2backend[type(tensor.data)].to_numpy(tensor.data)
    return np.asarray(array, order="C")  # the package writes the memory as it lies


def _check_apart(tensors: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError if two tensors share memory, by the extents they reach over."""
    extents = sorted(
        (str(tensor.device), *extent(tensor.data), name)
        for name, tensor in tensors.items()
        if tensor.data.size
    )
    for (place, _, stop, name), (other_place, start, _, other) in pairwise(extents):
        if place == other_place and start < stop:
            raise RuntimeError(
                "Some tensors share memory, this will lead to duplicate memory on disk and "
                f"potential differences when loading them again: {name!r} and {other!r}. Leave "
                "one of them out, or clone() it."
            )


def load_file(
    filename: str | os.PathLike[str], device: str | int | Device = "cpu"
) -> dict[str, Tensor]:
    """Read a .safetensors file: the named tensors, on ``device``.

    Raises CorruptFileError for a damaged file, RefusedFileError for a dtype that gpunn does not
    have (a float8), both in one line that names the file; OSError if it cannot be opened.
    """
    from safetensors import SafetensorError, safe_open

    where, name = Device(device), describe(filename)
    with open(filename, "rb"):
        pass  # the plain OSError for a missing file or a folder
    tensors: dict[str, Tensor] = {}
    try:
        opened: Any = safe_open(filename, framework="np")  # annotated in part only
        with opened as file:
            for key in file.keys():  # noqa: SIM118 (not a dict)
                kind = file.get_slice(key).get_dtype()
                if kind not in _KNOWN:
                    raise RefusedFileError(
                        f"{name}: tensor {key!r} has dtype {kind}, which gpunn does not have; "
                        "convert it, to F32 for instance, and save it again"
                    )
                array = file.get_tensor(key)
                own = array if array.flags.writeable else array.copy()
                tensors[key] = wrap(own).to(where)
    except SafetensorError as error:
        raise CorruptFileError(f"{name}: not a sound safetensors file ({error})") from error
    return tensors
