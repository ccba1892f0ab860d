"""Learning rates as functions of the step: schedules that change an optimizer's groups.

Like PyTorch's, they are chainable: each step starts from the rate that the group has now, so that
several schedules of one optimizer multiply, and a rate set by hand is respected.
"""

from gpunn.missing import refuse_others as _refuse_others
from gpunn.optim.lr_scheduler.base import LRScheduler
from gpunn.optim.lr_scheduler.cycle import CyclicLR, OneCycleLR
from gpunn.optim.lr_scheduler.factor import (
    ConstantLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from gpunn.optim.lr_scheduler.plateau import ReduceLROnPlateau
from gpunn.optim.lr_scheduler.sequential import ChainedScheduler, SequentialLR
from gpunn.optim.lr_scheduler.shape import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    MultiplicativeLR,
)

_LRScheduler = LRScheduler  # as older scripts call the base of their own

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

_refuse_others(globals())
