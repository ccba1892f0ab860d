"""RMSprop."""

from __future__ import annotations

from gpunn.autograd.variable import Array
from gpunn.backends import Backend
from gpunn.optim.optimizer import Group, Optimizer, Params, check_options, count_step, slot
from gpunn.tensor import Tensor


class RMSprop(Optimizer):
    """RMSprop (Hinton, 2012), gradients divided by the root of their running mean square.

    ``v = alpha * v + (1 - alpha) * dw²``, ``w -= lr * dw / (√v + eps)``. ``centered`` (Graves,
    2013) takes the variance for v. With ``momentum`` the quotients are gathered:
    ``b = momentum * b + dw / (√v + eps)``, ``w -= lr * b``. ``weight_decay * w`` is added to dw.
    ``maximize`` goes up instead. ``foreach`` and ``capturable`` are taken and make no difference.

    Raises ValueError for values out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable,
        }  # fmt: skip
        check_options(defaults)
        super().__init__(params, defaults)

    def _update(self, backend: Backend, p: Tensor, dw: Array, group: Group) -> None:
        state = self.state[p]
        count_step(state)
        backend.rmsprop_step(
            p.data,
            dw,
            slot(state, "square_avg", p),
            slot(state, "momentum_buffer", p) if group["momentum"] > 0 else None,
            slot(state, "grad_avg", p) if group["centered"] else None,
            lr=float(group["lr"]),
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            maximize=group["maximize"],
        )
