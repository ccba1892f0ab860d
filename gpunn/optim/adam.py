"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn.backends import Backend
from gpunn.optim.optimizer import Group, Optimizer, Params
from gpunn.optim.options import check_options
from gpunn.optim.state import alike, count_step, data_of, slots
from gpunn.tensor import Tensor


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), steps scaled by running moments of the gradient.

    ``m = β₁ m + (1 - β₁) dw``, ``v = β₂ v + (1 - β₂) dw²``, then with
    ``m̂ = m / (1 - β₁ᵗ)`` and ``v̂ = v / (1 - β₂ᵗ)``: ``w -= lr * m̂ / (√v̂ + eps)``.
    ``amsgrad`` (Reddi et al., 2018) divides by the largest v yet. ``weight_decay * w`` is added to
    dw, or with ``decoupled_weight_decay`` taken from w itself, as in ``AdamW``. ``maximize`` goes
    up instead. ``foreach`` and ``fused`` are taken and make no difference; nor does ``capturable``,
    but on the CPU it is refused.

    Raises ValueError for values out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "amsgrad": amsgrad, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable, "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        check_options(defaults)
        if not any(all(isinstance(beta, kind) for beta in betas) for kind in (float, Tensor)):
            raise ValueError("betas must be either both floats or both Tensors")
        super().__init__(params, defaults)

    def _update(self, backend: Backend, params: list[Tensor], group: Group) -> None:
        beta1, beta2 = group["betas"]
        steps = [count_step(self.state[p]) for p in params]
        for step, some in alike(params, steps):
            backend.adam_step(
                *data_of(some),
                slots(self.state, "exp_avg", some),
                slots(self.state, "exp_avg_sq", some),
                slots(self.state, "max_exp_avg_sq", some) if group["amsgrad"] else None,
                lr=float(group["lr"]),
                beta1=float(beta1),
                beta2=float(beta2),
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                decoupled=group["decoupled_weight_decay"],
                maximize=group["maximize"],
                step=step,
            )


class AdamW(Adam):
    """Adam whose weight decay is decoupled (Loshchilov and Hutter, 2019): ``w *= 1 - lr * λ``.

    Arguments and errors are those of ``Adam``; λ is ``weight_decay``.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As ``Optimizer.load_state_dict``; Adam's state is AdamW's too, but its decay is not."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
