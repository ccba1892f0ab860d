"""LRScheduler: what all schedules of the learning rate share; no schedule."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, SupportsFloat

from gpunn.optim.optimizer import Optimizer
from gpunn.tensor import Tensor

_TOO_EARLY = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. You should call them in the "
    "opposite order: `optimizer.step()` before `lr_scheduler.step()`. Failure to do this will "
    "result in skipping the first value of the learning rate schedule."
)
EPOCH_GIVEN = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible. Please use `scheduler.step()` to step the scheduler."
)
_NOT_WITHIN_STEP = (
    "To get the last learning rate computed by the scheduler, please use `get_last_lr()`."
)


def check_optimizer(optimizer: object) -> None:
    """Refuse what is no optimizer (TypeError)."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def current_rates(optimizer: Optimizer, key: str = "lr") -> list[float]:
    """What the groups have under ``key``, now."""
    return [float(group[key]) for group in optimizer.param_groups]


def set_rates(optimizer: Optimizer, rates: Iterable[SupportsFloat]) -> None:
    """Give each group its rate; one that is a tensor keeps its identity."""
    for group, lr in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].data[...] = float(lr)
        else:
            group["lr"] = lr


def per_group(name: str, optimizer: Optimizer, value: float | Sequence[float]) -> list[float]:
    """One value for each group."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count  # pyright: ignore[reportReturnType]
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {count}."
        )
    return list(value)


def attributes_of(function: Any) -> dict[str, Any] | None:
    """What a ``state_dict`` keeps of a callable: an object's attributes, of a function nothing."""
    if function is None or isinstance(function, types.FunctionType):
        return None
    return dict(getattr(function, "__dict__", {}))


class LRScheduler:
    """The base of all schedules: call ``step()`` after each ``optimizer.step()`` (or each epoch).

    A subclass writes ``get_lr()``: the rates at ``self.last_epoch``, one for each group. The rates
    at the start are kept in the groups as ``initial_lr``. ``last_epoch`` resumes a schedule whose
    optimizer's groups have it; a schedule's own ``state_dict`` does so more simply.

    Raises TypeError for what is no optimizer, KeyError without ``initial_lr`` to resume from.
    """

    _last_lr: list[float]
    _is_initial = False
    _get_lr_called_within_step = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                    "scheduler with last_epoch >= 0.\nThis typically happens when:\n"
                    "1. You're trying to resume training from a checkpoint but haven't properly "
                    "loaded the optimizer state\n"
                    "2. You're using last_epoch >= 0 for a fresh training run (not recommended)"
                )
        self.base_lrs = current_rates(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._start()

    def _start(self) -> None:
        """Set the rates of the beginning."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rates at ``self.last_epoch``, from those at the step before."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def _closed_form(self) -> list[float]:
        """The rates at ``self.last_epoch``, from those of the start alone, where that is known."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The rates that the last step set."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step, or (deprecated) to step ``epoch``."""
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(_TOO_EARLY, UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_GIVEN, UserWarning, stacklevel=2)
        self._go_to(epoch)

    def _go_to(self, epoch: int | None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                rates = self._closed_form()
        finally:
            self._get_lr_called_within_step = False
        set_rates(self.optimizer, rates)
        self._last_lr = current_rates(self.optimizer)

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(_NOT_WITHIN_STEP, UserWarning, stacklevel=3)

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs; the optimizer aside."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a ``state_dict``. The rates are the optimizer's state: load that too."""
        self.__dict__.update(state_dict)
