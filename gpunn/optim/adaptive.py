"""Optimizers whose steps adapt to the gradients seen: Adagrad, Adadelta, Adamax, NAdam, RAdam.

Each is one rule over arrays; the loop over parameters, and their state, are shared.
"""

from __future__ import annotations

import math
from typing import Any

from gpunn.autograd.variable import Array, wrap
from gpunn.backends import Backend, type2backend
from gpunn.optim.optimizer import Group, Optimizer, Params
from gpunn.optim.options import check_options
from gpunn.optim.state import count_step, counter, slots
from gpunn.tensor import Tensor

Betas = tuple[float, float]


class PerParameter(Optimizer):
    """An optimizer that takes its parameters one by one: a subclass writes ``_rule``."""

    def _update(self, backend: Backend, params: list[Tensor], group: Group) -> None:
        for p in params:
            assert p.grad is not None
            dw: Array = -p.grad.data if group.get("maximize") else p.grad.data
            lr = float(group["lr"])
            dw = self._decay(p.data, dw, lr, group)
            self._rule(backend.xp, p, p.data, dw, lr, group)

    def _decay(self, w: Array, dw: Array, lr: float, group: Group) -> Array:
        """The gradient with the weight decay, unless that is decoupled and shrinks ``w`` itself."""
        decay = group.get("weight_decay", 0)
        if not decay:
            return dw
        if not group.get("decoupled_weight_decay"):
            return dw + w * decay
        w *= 1 - lr * decay
        return dw

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        """Change ``w`` by its gradient ``dw``, to which decay and sign have been applied."""
        raise NotImplementedError

    def _slot(self, p: Tensor, name: str, shape: tuple[int, ...] | None = None) -> Array:
        """The array ``name`` of a parameter's state, zeros at first; of its shape unless told."""
        return slots(self.state, name, [p], shape)[0]


class Adagrad(PerParameter):
    """Gradients divided by the root of the sum of all their squares (J. Duchi et al., 2011).

    ``sum += dw²``, ``w -= lr / (1 + (t - 1) lr_decay) * dw / (√sum + eps)``. ``weight_decay * w``
    is added to dw, ``maximize`` goes up instead; ``foreach`` and ``fused`` make no difference.

    Raises ValueError for values out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        check_options(defaults)
        for name in ("lr_decay", "initial_accumulator_value"):
            if not defaults[name] >= 0:  # pyright: ignore[reportOptionalOperand]
                raise ValueError(f"Invalid {name} value: {defaults[name]}")
        super().__init__(params, defaults)
        for group in self.param_groups:  # before the first step, as in PyTorch
            for p in group["params"]:
                state = self.state[p]
                state["step"] = counter()
                state["sum"] = wrap(type2backend[type(p.data)].zeros_like(p.data))
                state["sum"].data.fill(group["initial_accumulator_value"])

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        step, total = count_step(self.state[p]), self._slot(p, "sum")
        total += dw * dw
        w -= lr / (1 + (step - 1) * group["lr_decay"]) * dw / (xp.sqrt(total) + group["eps"])


class Adadelta(PerParameter):
    """Steps in units of the weights: a running size of steps over that of gradients.

    ``v = ρ v + (1 - ρ) dw²``, ``Δ = √(a + eps) / √(v + eps) dw``, ``a = ρ a + (1 - ρ) Δ²``,
    ``w -= lr Δ`` (M. Zeiler, 2012). Raises ValueError for values out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable,
        }  # fmt: skip
        check_options(defaults)
        if not 0 <= rho <= 1:
            raise ValueError(f"Invalid rho value: {rho}")
        super().__init__(params, defaults)

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        rho, eps = group["rho"], group["eps"]
        count_step(self.state[p])
        squares, steps = self._slot(p, "square_avg"), self._slot(p, "acc_delta")
        squares *= rho
        squares += dw * dw * (1 - rho)
        delta = xp.sqrt(steps + eps) / xp.sqrt(squares + eps) * dw
        steps *= rho
        steps += delta * delta * (1 - rho)
        w -= lr * delta


class Adamax(PerParameter):
    """Adam with the largest gradient in place of the root mean square (Kingma and Ba, 2015).

    ``u = max(β₂ u, |dw| + eps)``, ``w -= lr / (1 - β₁ᵗ) * m / u``. Raises ValueError for values out
    of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        check_options(defaults)
        super().__init__(params, defaults)

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        beta1, beta2 = group["betas"]
        step = count_step(self.state[p])
        mean, largest = self._slot(p, "exp_avg"), self._slot(p, "exp_inf")
        mean += (dw - mean) * (1 - beta1)
        xp.maximum(largest * beta2, xp.abs(dw) + group["eps"], out=largest)
        w -= lr / (1 - beta1**step) * (mean / largest)


class NAdam(PerParameter):
    """Adam with Nesterov's momentum, which looks one step ahead (T. Dozat, 2016).

    ``momentum_decay`` ψ: μ(t) = β₁ (1 - 0.96^(t ψ) / 2). Raises ValueError for values out of range.
    """

    _counted = "params, mu_products and state_steps"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "differentiable": differentiable,
        }  # fmt: skip
        check_options(defaults)
        if not momentum_decay >= 0:
            raise ValueError(f"Invalid momentum_decay value: {momentum_decay}")
        super().__init__(params, defaults)

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        (beta1, beta2), state, decay = group["betas"], self.state[p], group["momentum_decay"]
        step = count_step(state)
        if "mu_product" not in state:
            state["mu_product"] = counter(1)
        mean, squares = self._slot(p, "exp_avg"), self._slot(p, "exp_avg_sq")
        now, ahead = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = state["mu_product"].data
        product *= now
        mean += (dw - mean) * (1 - beta1)
        squares *= beta2
        squares += dw * dw * (1 - beta2)
        root = xp.sqrt(squares / (1 - beta2**step)) + group["eps"]
        so_far = product.item()
        w -= lr * (1 - now) / (1 - so_far) * (dw / root)
        w -= lr * ahead / (1 - so_far * ahead) * (mean / root)


class RAdam(PerParameter):
    """Adam that rectifies the variance of its first steps (L. Liu et al., 2020).

    As long as too few gradients were seen (ρ <= 5) the step is plain momentum. Raises ValueError
    for values out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay, "differentiable": differentiable,
        }  # fmt: skip
        check_options(defaults)
        super().__init__(params, defaults)

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        beta1, beta2 = group["betas"]
        step = count_step(self.state[p])
        mean, squares = self._slot(p, "exp_avg"), self._slot(p, "exp_avg_sq")
        mean += (dw - mean) * (1 - beta1)
        squares *= beta2
        squares += dw * dw * (1 - beta2)
        seen = 1 - beta2**step
        most = 2 / (1 - beta2) - 1
        rho = most - 2 * step * beta2**step / seen
        size = lr / (1 - beta1**step)
        if rho <= 5:
            w -= size * mean
            return
        rectified = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
        w -= size * math.sqrt(rectified * seen) * (mean / (xp.sqrt(squares) + group["eps"]))
