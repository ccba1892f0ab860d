"""Optimizers and learning-rate schedules."""

from gpunn.optim import lr_scheduler
from gpunn.optim.adam import Adam, AdamW
from gpunn.optim.optimizer import Optimizer
from gpunn.optim.rmsprop import RMSprop
from gpunn.optim.sgd import SGD

__all__ = ["Adam", "AdamW", "Optimizer", "RMSprop", "SGD", "lr_scheduler"]
