"""The tape: ``Function``, gradients of what it recorded, and switches for recording."""

from gpunn.autograd import functional, graph
from gpunn.autograd.engine import backward, grad
from gpunn.autograd.function import Function
from gpunn.autograd.grad_mode import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)
from gpunn.autograd.gradcheck import gradcheck, gradgradcheck
from gpunn.autograd.legacy import Variable
from gpunn.missing import refuse_others as _refuse_others

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

_refuse_others(globals())
