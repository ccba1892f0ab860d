"""Schedules of learning rate and momentum that go up and down: one cycle, or many."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gpunn.optim.lr_scheduler.base import (
    LRScheduler,
    attributes_of,
    check_optimizer,
    per_group,
    set_rates,
)
from gpunn.optim.optimizer import Optimizer


class _WithMomentum(LRScheduler):
    """A schedule that moves the groups' momentum (or Adam's β₁) against the rate."""

    use_beta1: bool

    def _use_momentum(
        self,
        optimizer: Optimizer,
        base: float | list[float],
        most: float | list[float],
        fresh: bool,
    ) -> tuple[list[float], list[float]]:
        """The ends of each group's momentum, which begins at the most."""
        self.use_beta1 = "betas" in optimizer.defaults
        if not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        highs = per_group("max_momentum", optimizer, most)
        lows = per_group("base_momentum", optimizer, base)
        if fresh:
            for group, low, high in zip(optimizer.param_groups, lows, highs, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low
        return lows, highs

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class OneCycleLR(_WithMomentum):
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
            self._use_momentum(optimizer, base_momentum, max_momentum, fresh)
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


class CyclicLR(_WithMomentum):
    """Up from ``base_lr`` to ``max_lr`` in a line, down again, and so on (L. Smith, 2017).

    Up in ``step_size_up`` steps, down in ``step_size_down`` (default: as many). ``mode`` says how
    high a cycle goes: "triangular" always the same, "triangular2" half as high as the one before,
    "exp_range" ``gamma ** step``; ``scale_fn`` says it instead, a function of the cycle's number
    (from 1) or, with ``scale_mode="iterations"``, of the step. ``cycle_momentum`` moves the
    momentum (or Adam's β₁) the other way, between ``max_momentum`` and ``base_momentum``.

    Raises ValueError for an unknown mode, and for an optimizer without momentum.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        lows = per_group("base_lr", optimizer, base_lr)
        fresh = last_epoch == -1
        if fresh:
            set_rates(optimizer, lows)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._use_momentum(
                optimizer, base_momentum, max_momentum, fresh
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def scale_fn(self, x: float) -> float:
        """How high a cycle goes, of ``max_lr - base_lr``."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return 1 / 2.0 ** (x - 1)
        return self.gamma**x if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        ratio = self.step_ratio
        share = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
        height = share * self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ends = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, ends, strict=True):
                self._set_momentum(group, high - (high - low) * height)
        ends = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in ends]

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs; of a ``scale_fn``, a callable object's attributes."""
        kept = attributes_of(self._scale_fn_custom)
        return {**super().state_dict(), "_scale_fn_custom": kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a ``state_dict``; ``scale_fn`` must be that of before."""
        rest = dict(state_dict)
        kept = rest.pop("_scale_fn_custom")
        super().load_state_dict(rest)
        if kept is not None and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(kept)


def _positive(name: str, value: int) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value}")
    return value
