"""Schedules of schedules: one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from gpunn.optim.lr_scheduler.base import LRScheduler, current_rates, set_rates
from gpunn.optim.lr_scheduler.plateau import ReduceLROnPlateau
from gpunn.optim.optimizer import Optimizer


class _Several(LRScheduler):
    """A schedule made of others of the same optimizer."""

    _schedulers: Sequence[LRScheduler]

    def _check(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], what: str) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ValueError(f"{name} expects at least one scheduler{what}, but got no scheduler.")
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name} at index {i} should have `optimizer` as its attribute.")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it requires "
                    "additional kwargs to be specified when calling `step`, but got one at index "
                    f"{i} in the given schedulers sequence."
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, but got "
                    f"scheduler {type(scheduler).__name__} at index {i} with another one."
                )

    def _undo(self) -> None:
        """Forget that the schedules have acted when they were made."""
        for scheduler in self._schedulers:
            if isinstance(scheduler, _Several):
                scheduler._undo()
            else:
                scheduler.last_epoch -= 1

    def state_dict(self) -> dict[str, Any]:
        """The state of this schedule and of those in it."""
        inner = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": inner}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a ``state_dict``."""
        rest = dict(state_dict)
        inner = rest.pop("_schedulers")
        super().load_state_dict(rest)
        for scheduler, state in zip(self._schedulers, inner, strict=True):
            scheduler.load_state_dict(state)


class ChainedScheduler(_Several):
    """All of ``schedulers`` in every step, one acting on what the other gave.

    Raises ValueError if there is none, or the optimizers differ.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if optimizer is None and schedulers:
            optimizer = getattr(schedulers[0], "optimizer", None)
        self._check(optimizer, schedulers, " to be chained")  # pyright: ignore[reportArgumentType]
        self._schedulers = schedulers
        self.optimizer = schedulers[0].optimizer
        self._last_lr = current_rates(self.optimizer)

    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Have each schedule go on to its next step."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = current_rates(self.optimizer)


class SequentialLR(_Several):
    """One schedule after another: ``schedulers[i + 1]`` takes over at step ``milestones[i]``.

    Raises ValueError if the numbers of both do not fit, or the optimizers differ.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._check(optimizer, schedulers, "")
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than "
                f"the number of milestone points, but got number of schedulers {len(schedulers)} "
                f"and the number of milestones to be equal to {len(milestones)}"
            )
        self.optimizer = optimizer
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        # The schedules have acted: begin with the first alone.
        set_rates(optimizer, current_rates(optimizer, "initial_lr"))
        self._undo()
        self._start()

    def _start(self) -> None:
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._start()
        self._last_lr = first.get_last_lr()

    def _go_to(self, epoch: int | None) -> None:
        """Begin anew, within another sequence."""
        self.last_epoch = 0
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._go_to(0)
        self._last_lr = first.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step."""
        if epoch is not None:
            raise TypeError("SequentialLR.step() takes no epoch")
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        now = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            now._go_to(0)
        else:
            now.step()
        self._last_lr = now.get_last_lr()
