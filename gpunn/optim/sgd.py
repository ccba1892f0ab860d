"""Stochastic gradient descent."""

from __future__ import annotations

from gpunn.autograd.variable import Array
from gpunn.backends import Backend
from gpunn.optim.optimizer import Group, Optimizer, Params, check_options, slot
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

    def _update(self, backend: Backend, p: Tensor, dw: Array, group: Group) -> None:
        buffer, first = None, False
        if group["momentum"] != 0:
            state = self.state[p]
            first = "momentum_buffer" not in state
            buffer = slot(state, "momentum_buffer", p)
        backend.sgd_step(
            p.data,
            dw,
            buffer,
            lr=float(group["lr"]),
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=float(group["weight_decay"]),
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            first=first,
        )
