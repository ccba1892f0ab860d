"""Stochastic gradient descent."""

from __future__ import annotations

from gpunn.backends import Backend
from gpunn.optim.optimizer import Group, Optimizer, Params
from gpunn.optim.options import check_options
from gpunn.optim.state import alike, data_of, slots
from gpunn.tensor import Tensor


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak, 1964) or Nesterov's (1983).

    ``b = momentum * b + (1 - dampening) * dw``, at first ``b = dw``; then ``w -= lr * b``, or with
    ``nesterov`` ``w -= lr * (dw + momentum * b)``; ``weight_decay * w`` is added to dw before.
    ``maximize`` goes up instead. ``foreach`` and ``fused`` are taken and make no difference.

    Raises ValueError for values out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize, "foreach": foreach,
            "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        check_options(defaults)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, defaults)

    def _update(self, backend: Backend, params: list[Tensor], group: Group) -> None:
        gathers = group["momentum"] != 0
        fresh = [gathers and "momentum_buffer" not in self.state[p] for p in params]
        for first, some in alike(params, fresh):
            backend.sgd_step(
                *data_of(some),
                slots(self.state, "momentum_buffer", some) if gathers else None,
                lr=float(group["lr"]),
                momentum=group["momentum"],
                dampening=group["dampening"],
                weight_decay=float(group["weight_decay"]),
                nesterov=group["nesterov"],
                maximize=group["maximize"],
                first=first,
            )
