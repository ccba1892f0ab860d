"""The name under which PyTorch's scripts find the switches of convolutions.

There is no cuDNN in gpunn: ``conv`` and ``allow_tf32`` are ``gpunn.backends.cuda.conv``'s. The
others are there to be set: gpunn's kernels always give the same bits, and are not timed first.
"""

from __future__ import annotations

import sys
import types

from gpunn.backends.cuda import conv

__all__ = ["allow_tf32", "benchmark", "conv", "deterministic", "enabled", "is_available"]

allow_tf32: bool  # a property of this module: see below
enabled = True
benchmark = False
deterministic = True


def is_available() -> bool:
    """False: convolutions are gpunn's own kernels."""
    return False


class _Module(types.ModuleType):
    @property
    def allow_tf32(self) -> bool:
        return conv.allow_tf32

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        conv.allow_tf32 = value


sys.modules[__name__].__class__ = _Module
