"""Rprop, which looks at signs alone, and ASGD, which averages the weights it visits."""

from __future__ import annotations

from typing import Any

from gpunn.autograd.variable import Array, wrap
from gpunn.optim.adaptive import PerParameter
from gpunn.optim.optimizer import Group, Params
from gpunn.optim.options import check_options
from gpunn.optim.state import count_step, counter
from gpunn.tensor import Tensor


class Rprop(PerParameter):
    """Resilient propagation (M. Riedmiller and H. Braun, 1993), for whole batches.

    A weight's step grows by ``etas[1]`` while its gradient keeps its sign, and shrinks by
    ``etas[0]`` where it turns, within ``step_sizes``; ``w -= sign(dw) * step``. Raises ValueError
    for values out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        check_options(defaults)
        if not 0 < etas[0] < 1 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, defaults)

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        (less, more), (least, most), state = group["etas"], group["step_sizes"], self.state[p]
        count_step(state)
        before = self._slot(p, "prev")
        if "step_size" not in state:
            state["step_size"] = wrap(xp.full_like(w, lr))
        size = self._slot(p, "step_size")
        agreement = xp.sign(dw * before)
        turned = agreement < 0
        size *= xp.where(agreement > 0, more, xp.where(turned, less, 1)).astype(w.dtype)
        xp.clip(size, least, most, out=size)
        dw = xp.where(turned, w.dtype.type(0), dw)  # a turn takes no step
        w -= xp.sign(dw) * size
        before[...] = dw


class ASGD(PerParameter):
    """Averaged stochastic gradient descent (B. Polyak and A. Juditsky, 1992).

    ``w -= η dw`` with ``η = lr / (1 + lambd lr t) ** alpha``; the state's ``ax`` is the mean of the
    weights from step ``t0`` on. Raises ValueError for values out of range.
    """

    _counted = "params, mus, etas, and state_steps"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay,
            "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
            "capturable": capturable,
        }  # fmt: skip
        check_options(defaults)
        super().__init__(params, defaults)

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        state, lambd = self.state[p], group["lambd"]
        step = count_step(state)
        if "eta" not in state:
            state["eta"], state["mu"] = counter(lr), counter(1)
        mean = self._slot(p, "ax")
        eta, mu = state["eta"].item(), state["mu"].item()
        w *= 1 - lambd * eta
        w -= eta * dw
        if mu == 1:
            mean[...] = w
        else:
            mean += (w - mean) * mu
        # As _counter keeps them, also where a state_dict has made them wider.
        state["eta"].data.fill(counter(lr / (1 + lambd * lr * step) ** group["alpha"]).item())
        state["mu"].data.fill(counter(1 / max(1, step - group["t0"])).item())
