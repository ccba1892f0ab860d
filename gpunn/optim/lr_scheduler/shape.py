"""Schedules of a given shape: a cosine, again and again, or any function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gpunn.optim.lr_scheduler.base import (
    LRScheduler,
    attributes_of,
    check_optimizer,
    current_rates,
)
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


class CosineAnnealingWarmRestarts(LRScheduler):
    """Down to ``eta_min`` along a cosine, and from the start again: in ``T_0`` steps at first.

    Each time takes ``T_mult`` times as long as the one before (Loshchilov and Hutter, 2017).
    ``step(epoch)`` goes to an epoch, which may be a fraction. Raises ValueError for lengths that
    are no positive integers.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,  # noqa: N803
        T_mult: int = 1,  # noqa: N803
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        given: list[Any] = [T_0, T_mult, eta_min]
        if not isinstance(given[0], int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(given[1], int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(given[2], (float, int)):
            raise ValueError(
                f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}"
            )
        self.T_0 = self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next step, or to ``epoch``. ValueError for one below 0."""
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur = self.T_cur + 1 if epoch else 0
            if self.T_cur >= self.T_i:
                self.T_cur = self.T_cur % self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        else:
            self._find(epoch)
        # The rates at T_cur; nothing else depends on the step.
        self._go_to(math.floor(epoch))

    def _find(self, epoch: float) -> None:
        """Which time ``epoch`` belongs to, and where in it."""
        first, mult = self.T_0, self.T_mult
        if epoch < first:
            self.T_cur, self.T_i = epoch, first
        elif mult == 1:
            self.T_cur = epoch % first
        else:
            n = int(math.log(epoch / first * (mult - 1) + 1, mult))
            self.T_cur = epoch - first * (mult**n - 1) / (mult - 1)
            self.T_i = first * mult**n

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


class _ByFunctions(LRScheduler):
    """A schedule by functions of the step; one function, or a list, one a group.

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
        several = isinstance(lr_lambda, (list, tuple))
        given: list[Any] = list(lr_lambda) if several else [lr_lambda] * count  # pyright: ignore[reportUnknownArgumentType]
        if len(given) != count:
            raise ValueError(f"Expected {count} lr_lambdas, but got {len(given)}")
        for function in given:
            if not callable(function):
                raise TypeError(
                    f"lr_lambda should be a function, but got {type(function).__name__}"
                )
        self.lr_lambdas: list[Callable[[int], float]] = given
        super().__init__(optimizer, last_epoch)

    def _factors(self) -> list[float]:
        return [function(self.last_epoch) for function in self.lr_lambdas]

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs; of the functions, callable objects' attributes."""
        kept = [attributes_of(function) for function in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a ``state_dict``; the functions must be those of before."""
        rest = dict(state_dict)
        kept = rest.pop("lr_lambdas")
        super().load_state_dict(rest)
        for function, attributes in zip(self.lr_lambdas, kept, strict=True):
            if attributes is not None:
                function.__dict__.update(attributes)


class LambdaLR(_ByFunctions):
    """The rate of the start times ``lr_lambda(step)``; one function, or a list, one a group.

    ``state_dict`` keeps the attributes of callable objects, but no functions. Raises ValueError if
    there are not as many functions as groups.
    """

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        return [base * f for base, f in zip(self.base_lrs, self._factors(), strict=True)]


class MultiplicativeLR(_ByFunctions):
    """The rate times ``lr_lambda(step)`` in every step; as ``LambdaLR`` otherwise."""

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        rates = current_rates(self.optimizer)
        if self._is_initial:
            return rates
        return [lr * f for lr, f in zip(rates, self._factors(), strict=True)]
