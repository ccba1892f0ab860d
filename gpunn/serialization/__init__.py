"""Saving and loading: PyTorch's files and safetensors, written whole and read without running code.

``torchfile`` holds ``save`` and ``load``, over ``pickler`` and ``unpickler`` (the pickle inside)
and ``storages`` (the memory below tensors); ``tensorfile`` holds ``save_file`` and ``load_file``.
"""

from gpunn.serialization.files import CorruptFileError, RefusedFileError
from gpunn.serialization.tensorfile import load_file, save_file
from gpunn.serialization.torchfile import load, save

__all__ = ["CorruptFileError", "RefusedFileError", "load", "load_file", "save", "save_file"]
