"""`gpunn.data` under PyTorch's name."""

from gpunn.data import *  # noqa: F403
from gpunn.data import __all__ as __all__
