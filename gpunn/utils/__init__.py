"""PyTorch's names for what stands beside the framework: ``utils.data``, ``utils.checkpoint``."""

from gpunn.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
