"""Schedules of a given shape: a cosine, or any function."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from typing import Any

from gpunn.optim.lr_scheduler.base import LRScheduler, check_optimizer, current_rates
from gpunn.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """Down from the start to ``eta_min`` in ``T_max`` steps along a cosine, then up again.

    ``eta_min + (start - eta_min) (1 + cos(π t / T_max)) / 2`` (Loshchilov and Hutter, 2017).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _height(self, t: int) -> float:
        return 1 + math.cos(math.pi * t / self.T_max)

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        t, low, rates = self.last_epoch, self.eta_min, current_rates(self.optimizer)
        if self._is_initial:
            return rates
        if self._step_count == 1 and t > 0:  # resumed at t
            return self._closed_form()
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:  # the step before was at the bottom
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - low) * rise for lr, base in zip(rates, self.base_lrs, strict=True)]
        ratio = self._height(t) / self._height(t - 1)
        return [low + ratio * (lr - low) for lr in rates]

    def _closed_form(self) -> list[float]:
        low, height = self.eta_min, self._height(self.last_epoch)
        return [low + (base - low) * height / 2 for base in self.base_lrs]


class LambdaLR(LRScheduler):
    """The rate of the start times ``lr_lambda(step)``; one function, or a list, one a group.

    ``state_dict`` keeps the attributes of callable objects, but no functions.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        count = len(optimizer.param_groups)
        given = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(given) != count:
            raise ValueError(f"Expected {count} lr_lambdas, but got {len(given)}")
        self.lr_lambdas: list[Callable[[int], float]] = given
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        return [
            base * function(self.last_epoch)
            for function, base in zip(self.lr_lambdas, self.base_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs; of the functions, callable objects' attributes."""
        kept = [
            None if isinstance(function, types.FunctionType) else dict(function.__dict__)
            for function in self.lr_lambdas
        ]
        return {**super().state_dict(), "lr_lambdas": kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a ``state_dict``; the functions must be those of before."""
        rest = dict(state_dict)
        kept = rest.pop("lr_lambdas")
        super().load_state_dict(rest)
        for function, attributes in zip(self.lr_lambdas, kept, strict=True):
            if attributes is not None:
                function.__dict__.update(attributes)
