"""The one-cycle schedule of learning rate and momentum."""

from __future__ import annotations

import math
from typing import Any

from gpunn.optim.lr_scheduler.base import LRScheduler, check_optimizer, per_group
from gpunn.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """One cycle of ``total_steps``: up to ``max_lr``, then down to nearly nothing (Smith, 2018).

    The rate rises from ``max_lr / div_factor`` in the first ``pct_start`` of the steps, and falls
    to ``max_lr / div_factor / final_div_factor``; with ``three_phase`` it falls first as it rose.
    ``cycle_momentum`` moves the momentum (or Adam's β₁) the other way, from ``max_momentum`` to
    ``base_momentum`` and back. ``anneal_strategy``: "cos" or "linear".
    ``total_steps`` may be given as ``epochs`` and ``steps_per_epoch``.

    Raises ValueError for arguments out of range, and for a step too many.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        if total_steps is not None:
            self.total_steps = _positive("total_steps", total_steps)
        elif epochs is not None and steps_per_epoch is not None:
            self.total_steps = _positive("epochs", epochs) * _positive(
                "steps_per_epoch", steps_per_epoch
            )
        else:
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._schedule_phases = self._phases(pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = cycle_momentum
        tops = per_group("max_lr", optimizer, max_lr)
        fresh = last_epoch == -1
        if fresh:
            for group, top in zip(optimizer.param_groups, tops, strict=True):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self.use_beta1 = "betas" in optimizer.defaults
            if not self.use_beta1 and "momentum" not in optimizer.defaults:
                raise ValueError(
                    "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
                )
            highs = per_group("max_momentum", optimizer, max_momentum)
            lows = per_group("base_momentum", optimizer, base_momentum)
            if fresh:
                for group, high, low in zip(optimizer.param_groups, highs, lows, strict=True):
                    self._set_momentum(group, high)
                    group["max_momentum"] = high
                    group["base_momentum"] = low
        super().__init__(optimizer, last_epoch)

    def _phases(self, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
        """Where each phase ends, and which of a group's values it leads from and to."""

        def phase(end: float, lrs: tuple[str, str], momenta: tuple[str, str]) -> dict[str, Any]:
            return {
                "end_step": end,
                "start_lr": lrs[0],
                "end_lr": lrs[1],
                "start_momentum": momenta[0],
                "end_momentum": momenta[1],
            }

        rise, last = pct_start * self.total_steps, self.total_steps - 1
        down, up = ("max_momentum", "base_momentum"), ("base_momentum", "max_momentum")
        first = phase(rise - 1, ("initial_lr", "max_lr"), down)
        if not three_phase:
            return [first, phase(last, ("max_lr", "min_lr"), up)]
        return [
            first,
            phase(2 * rise - 2, ("max_lr", "initial_lr"), up),
            phase(last, ("initial_lr", "min_lr"), ("max_momentum", "max_momentum")),
        ]

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value

    def _between(self, start: float, end: float, fraction: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))
        return start + (end - start) * fraction

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        t = self.last_epoch
        if t > self.total_steps:
            raise ValueError(
                f"Tried to step {t} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        start = 0.0
        for now in self._schedule_phases[:-1]:
            if t <= now["end_step"]:
                break
            start = now["end_step"]
        else:
            now = self._schedule_phases[-1]
        length = now["end_step"] - start
        fraction = (t - start) / length if length else 1.0
        rates: list[float] = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[now["start_lr"]], group[now["end_lr"]], fraction))
            if self.cycle_momentum:
                ends = group[now["start_momentum"]], group[now["end_momentum"]]
                self._set_momentum(group, self._between(*ends, fraction))
        return rates


def _positive(name: str, value: int) -> int:
    if not isinstance(value, int) or value <= 0:  # type: ignore[redundant-expr]
        raise ValueError(f"Expected positive integer {name}, but got {value}")
    return value
