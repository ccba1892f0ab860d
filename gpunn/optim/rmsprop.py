"""RMSprop."""

from __future__ import annotations

from gpunn.backends import Backend
from gpunn.optim.optimizer import Group, Optimizer, Params
from gpunn.optim.options import check_options
from gpunn.optim.state import count_step, data_of, slots
from gpunn.tensor import Tensor


class RMSprop(Optimizer):
    """RMSprop (Hinton, 2012), gradients divided by the root of their running mean square.

    ``v = alpha * v + (1 - alpha) * dw²``, ``w -= lr * dw / (√v + eps)``. ``centered`` (Graves,
    2013) takes the variance for v. With ``momentum`` the quotients are gathered:
    ``b = momentum * b + dw / (√v + eps)``, ``w -= lr * b``. ``weight_decay * w`` is added to dw.
    ``maximize`` goes up instead. ``foreach`` is taken and makes no difference; nor does
    ``capturable``, but on the CPU it is refused.

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

    def _update(self, backend: Backend, params: list[Tensor], group: Group) -> None:
        for p in params:
            count_step(self.state[p])
        backend.rmsprop_step(
            *data_of(params),
            slots(self.state, "square_avg", params),
            slots(self.state, "momentum_buffer", params) if group["momentum"] > 0 else None,
            slots(self.state, "grad_avg", params) if group["centered"] else None,
            lr=float(group["lr"]),
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            maximize=group["maximize"],
        )
