"""PyTorch's words for how elements lie in memory; gpunn's arrays are strided, and row by row."""

from __future__ import annotations


class layout:  # noqa: N801  (PyTorch's name)
    """How a tensor is stored: ``gpunn.strided``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"gpunn.{self.name}"


class memory_format:  # noqa: N801
    """Which dimension's elements are neighbours. A wish that gpunn does not follow: the values are
    the same, and what is new lies row by row."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"gpunn.{self.name}"


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
