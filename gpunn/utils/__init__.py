"""PyTorch's name for what stands beside the framework: ``gpunn.utils.data`` is `gpunn.data`."""

from gpunn.utils import data

__all__ = ["data"]
