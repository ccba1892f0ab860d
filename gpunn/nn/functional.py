"""``gpunn.functional`` under PyTorch's name: ``import gpunn.nn.functional as F``."""

from gpunn.functional import *  # noqa: F403
from gpunn.functional import __all__ as __all__
from gpunn.missing import refuse_others as _refuse_others

_refuse_others(globals())
