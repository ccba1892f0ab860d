"""Averages of a model's weights over training, and what goes with them.

The one file here that knows modules: an averaged model is one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, TypeAlias, cast

from gpunn.autograd.grad_mode import no_grad
from gpunn.creation import tensor
from gpunn.device import device as device_type
from gpunn.dtype import int64
from gpunn.nn.module import Module
from gpunn.nn.normalization import _BatchNorm
from gpunn.optim.lr_scheduler.base import LRScheduler, current_rates, per_group
from gpunn.optim.optimizer import Optimizer
from gpunn.tensor import Tensor

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

# The new average, of the average, the weight, and how many were averaged.
Average: TypeAlias = Callable[[Tensor, Tensor, Any], Tensor]
# Changes averages in place, of many.
AverageMany: TypeAlias = Callable[[list[Tensor], list[Tensor], Any], None]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """``a = decay * a + (1 - decay) * w``: the exponential moving average. ValueError beyond 1."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageMany:
    """As ``get_ema_avg_fn``, of lists and in place."""
    _check_decay(decay)

    @no_grad()
    def ema_update(
        ema_param_list: list[Tensor], current_param_list: list[Tensor], num_averaged: Any
    ) -> None:
        for a, w in zip(ema_param_list, current_param_list, strict=True):
            if a.is_floating_point():
                a.lerp_(w, 1 - decay)
            else:
                a.copy_(a * decay + w * (1 - decay))

    return ema_update


def get_swa_avg_fn() -> Average:
    """``a += (w - a) / (n + 1)``: the mean of all."""

    @no_grad()
    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_swa_multi_avg_fn() -> AverageMany:
    """As ``get_swa_avg_fn``, of lists and in place."""

    @no_grad()
    def swa_update(
        averaged_param_list: list[Tensor], current_param_list: list[Tensor], num_averaged: Any
    ) -> None:
        for a, w in zip(averaged_param_list, current_param_list, strict=True):
            if a.is_floating_point():
                a.lerp_(w, float(1 / (num_averaged + 1)))
            elif isinstance(num_averaged, Tensor):
                a.addcdiv_(w - a, num_averaged + 1)
            else:
                a.add_(w - a, alpha=1.0 / (num_averaged + 1))

    return swa_update


class AveragedModel(Module):
    """A copy of ``model`` whose weights are averages (P. Izmailov et al., 2018).

    ``update_parameters(model)`` adds the weights that a model has now; ``n_averaged`` counts. They
    are averaged by ``avg_fn``, or ``multi_avg_fn``, which is given lists of one device and dtype;
    equally by default. Buffers are those of the last model, or with ``use_buffers`` averaged too.

    Raises AssertionError, as PyTorch does, where both functions are given.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: int | str | device_type | None = None,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageMany | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def _averaged(self, model: Module) -> Iterable[Tensor]:
        return chain(model.parameters(), model.buffers() if self.use_buffers else ())

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the weights of ``model`` into the average; the first are copied."""
        averages = [a.detach() for a in self._averaged(self.module)]
        pairs = zip(averages, self._averaged(model), strict=False)
        weights = [w.detach().to(a.device) for a, w in pairs]
        if self.n_averaged == 0:
            for a, w in zip(averages, weights, strict=False):
                a.copy_(w)
        elif self.multi_avg_fn is not None:
            groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
            for a, w in zip(averages, weights, strict=False):
                some, new = groups.setdefault((a.device, a.dtype), ([], []))
                some.append(a)
                new.append(w)
            for (place, _), (some, new) in groups.items():
                self.multi_avg_fn(some, new, self.n_averaged.to(place))
        else:
            average = get_swa_avg_fn() if self.avg_fn is None else self.avg_fn
            for a, w in zip(averages, weights, strict=False):
                a.copy_(average(a, w, self.n_averaged.to(a.device)))
        if not self.use_buffers:
            for a, w in zip(self.module.buffers(), model.buffers(), strict=True):
                a.copy_(w.to(a.device))
        self.n_averaged += 1


@no_grad()
def update_bn(
    loader: Iterable[Any], model: Module, device: int | str | device_type | None = None
) -> None:
    """Set the statistics of the model's batch norms to those of the data in ``loader``.

    One pass; of a batch that is a list or a tuple, the first entry is the model's input.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    was_training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    for batch in loader:
        x: Any = cast("Any", batch)[0] if isinstance(batch, (list, tuple)) else batch
        model(x if device is None else x.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """From the rates that there are to ``swa_lr`` in ``anneal_epochs`` steps, where they stay.

    Along a cosine, or with ``anneal_strategy="linear"`` in a line; another schedule may have acted
    before. Raises ValueError for another strategy, or steps that are no number of steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = per_group("swa_lr", optimizer, swa_lr)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        count: Any = anneal_epochs
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, t: float) -> float:
        """How much of the way is done after the share ``t`` of the steps."""
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        step, whole = self._step_count - 1, max(1, self.anneal_epochs)
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = (self.anneal_func(max(0, min(1, t / whole))) for t in (step - 1, step))
        rates: list[float] = []
        ends = current_rates(self.optimizer, "swa_lr")
        for lr, end in zip(current_rates(self.optimizer), ends, strict=True):
            start = end if before == 1 else (lr - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates
