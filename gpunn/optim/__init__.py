"""Optimizers, learning-rate schedules, averages of weights."""

from gpunn.missing import refuse_others as _refuse_others
from gpunn.optim import lr_scheduler, swa_utils
from gpunn.optim.adam import Adam, AdamW
from gpunn.optim.adaptive import Adadelta, Adagrad, Adamax, NAdam, RAdam
from gpunn.optim.lbfgs import LBFGS
from gpunn.optim.matrices import Adafactor, Muon
from gpunn.optim.optimizer import Optimizer
from gpunn.optim.rmsprop import RMSprop
from gpunn.optim.rprop import ASGD, Rprop
from gpunn.optim.sgd import SGD

__all__ = [
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "lr_scheduler",
    "swa_utils",
]

_refuse_others(globals())
