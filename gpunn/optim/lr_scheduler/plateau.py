"""The schedule that waits until a metric stops improving."""

from __future__ import annotations

import math
import warnings
from typing import SupportsFloat

from gpunn.optim.lr_scheduler.base import (
    EPOCH_GIVEN,
    LRScheduler,
    check_optimizer,
    current_rates,
    set_rates,
)
from gpunn.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """The rate times ``factor`` when ``metrics`` has not improved for more than ``patience`` steps.

    ``mode`` "min" or "max" says which way is better; by ``threshold`` at least, relative to the
    best ("rel") or absolute ("abs"). After a cut, ``cooldown`` steps count as neither. No rate
    falls below ``min_lr``, and cuts of less than ``eps`` are not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        check_optimizer(optimizer)
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        count = len(optimizer.param_groups)
        if isinstance(min_lr, (list, tuple)):
            if len(min_lr) != count:
                raise ValueError(f"expected {count} min_lrs, got {len(min_lr)}")
            self.default_min_lr, self.min_lrs = None, list(min_lr)
        else:
            self.default_min_lr, self.min_lrs = min_lr, [min_lr] * count
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.best = self.mode_worse
        self.cooldown_counter = self.num_bad_epochs = 0
        self.last_epoch = 0
        self._last_lr = current_rates(optimizer)

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take note of ``metrics``, a number or a tensor of one; cut the rates if due."""
        if epoch is not None:
            warnings.warn(EPOCH_GIVEN, UserWarning, stacklevel=2)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        current = float(metrics)
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._cut()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = current_rates(self.optimizer)

    @property
    def in_cooldown(self) -> bool:
        """Whether the last cut was so recent that nothing counts."""
        return self.cooldown_counter > 0

    def _is_better(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bound = self.best * (1 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return value < bound if self.mode == "min" else value > bound

    def _cut(self) -> None:
        count = len(self.optimizer.param_groups)
        if count != len(self.min_lrs):  # groups were added since
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"The number of param groups in the `optimizer` ({count}) differs from when "
                    f"`ReduceLROnPlateau` was initialized ({len(self.min_lrs)}), usually due to a "
                    "new param group being added to the optimizer. Please modify the `min_lrs` "
                    "field to match the length of the `optimizer` param groups."
                )
            self.min_lrs = [self.default_min_lr] * count
        old = current_rates(self.optimizer)
        new = [max(lr * self.factor, low) for lr, low in zip(old, self.min_lrs, strict=True)]
        set_rates(
            self.optimizer,
            [b if a - b > self.eps else a for a, b in zip(old, new, strict=True)],
        )
