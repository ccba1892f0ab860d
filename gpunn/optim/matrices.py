"""Optimizers that take a weight for a matrix: Adafactor's factored moment, Muon's rotations."""

from __future__ import annotations

import math
from typing import Any

from gpunn.autograd.variable import Array, wrap
from gpunn.dtype import bfloat16, finfo
from gpunn.optim.adaptive import PerParameter
from gpunn.optim.optimizer import Group, Params
from gpunn.optim.options import check_rate
from gpunn.optim.state import count_step
from gpunn.tensor import Tensor

_RATE = "Learning rate should be >= 0 but is"


class Adafactor(PerParameter):
    """Gradients over the root of their running mean square, of which rows and columns are kept.

    R and C are running means of dw² over columns and over rows, with weight ``t**beta2_decay`` for
    the new; ``V = R C / max(mean R, ε₁)``, for vectors the mean of dw² itself. Then with
    ``u = dw / max(√V, ε₁)`` and ``ρ = min(lr, 1 / √t)``:
    ``w -= ρ max(ε₂, rms w) u / max(1, rms u / d)`` (N. Shazeer and M. Stern, 2018). ``eps`` is
    (ε₁, ε₂), None the dtype's epsilon. ``weight_decay`` is decoupled, ``maximize`` goes up instead;
    ``foreach`` makes no difference.

    Raises ValueError for values out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_rate(lr, _RATE)
        for good, text, value in (
            (beta2_decay <= 0, "beta2_decay should be <= 0", beta2_decay),
            (eps[0] is None or eps[0] >= 0, "epsilon1 should be >= 0", eps[0]),
            (eps[1] >= 0, "epsilon2 should be >= 0", eps[1]),
            (d >= 1, "Clipping threshold d should be >= 1", d),
            (weight_decay >= 0, "weight_decay should be >= 0", weight_decay),
        ):
            if not good:
                raise ValueError(f"{text} but is: {value}")
        defaults = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
            "foreach": foreach, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _decay(self, w: Array, dw: Array, lr: float, group: Group) -> Array:
        return dw  # the rule does, when it has measured w

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        step, (eps1, eps2) = count_step(self.state[p]), group["eps"]
        least = finfo(p.dtype).eps if eps1 is None else eps1
        share = step ** group["beta2_decay"]
        dw = _wide(dw)
        size = xp.fmax(_rms(xp, w), eps2) * min(lr, 1 / math.sqrt(step))
        w *= 1 - lr * group["weight_decay"]
        if w.ndim > 1:
            rows = self._mean(p, "row_var", xp.square(dw).mean(-1, keepdims=True), share)
            columns = self._mean(p, "col_var", xp.square(dw).mean(-2, keepdims=True), share)
            squares = rows * columns / xp.maximum(rows.mean(-2, keepdims=True), least)
        else:
            squares = self._mean(p, "variance", xp.square(dw), share)
        u = dw / xp.sqrt(xp.maximum(squares, least * least))
        w -= (u * (size / xp.fmax(_rms(xp, u) / group["d"], 1))).astype(w.dtype)

    def _mean(self, p: Tensor, name: str, new: Array, share: float) -> Array:
        """The running mean ``name``, to which ``new`` has come."""
        kept = self._slot(p, name, new.shape)
        kept[...] = kept + (new - kept) * share
        return _wide(kept)


class Muon(PerParameter):
    """Momentum made a rotation: all its singular values about 1 (K. Jordan et al., 2024).

    ``b = momentum * b + (1 - momentum) * dw``; u is b, or with ``nesterov`` one step more of it;
    ``ns_steps`` of Newton and Schulz, with ``ns_coefficients`` and in bfloat16, make it a rotation
    O; ``w -= lr * (weight_decay * w + s O)``. For a weight (A, B), s is ``√max(1, A / B)``, with
    ``adjust_lr_fn="match_rms_adamw"`` ``0.2 √max(A, B)``.

    For matrices only: biases and embeddings are for another optimizer. Raises ValueError for other
    parameters, and for values out of range.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_rate(lr, _RATE)
        if not momentum >= 0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{p.size()}"
                    )

    def _decay(self, w: Array, dw: Array, lr: float, group: Group) -> Array:
        w *= 1 - lr * group["weight_decay"]
        return dw

    def _rule(self, xp: Any, p: Tensor, w: Array, dw: Array, lr: float, group: Group) -> None:
        momentum, mean = group["momentum"], self._slot(p, "momentum_buffer")
        mean += (dw - mean) * (1 - momentum)
        u = dw + (mean - dw) * momentum if group["nesterov"] else mean
        rotation = _rotation(wrap(u), group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = w.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            lr *= 0.2 * math.sqrt(max(rows, columns))
        else:
            lr *= math.sqrt(max(1, rows / columns))
        w -= rotation.data.astype(w.dtype) * lr


def _rotation(
    u: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """The rotation of the polar decomposition of ``u``, roughly: its singular values go to 1."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    high = u.size(0) > u.size(1)
    x = _rounded(u.mT if high else u)
    x = _rounded(x / _rounded(x.norm()).clamp(min=eps))
    for _ in range(steps):
        gram = _rounded(x @ x.mT)
        x = _rounded(a * x + _rounded(b * gram + c * (gram @ gram)) @ x)
    return x.mT if high else x


def _rounded(x: Tensor) -> Tensor:
    """To bfloat16, in which products are kept, and back to float32, in which they are made."""
    return x.to(bfloat16).float()


def _rms(xp: Any, array: Array) -> Array:
    return xp.sqrt(xp.square(_wide(array)).mean()) if array.size else array.sum()


def _wide(array: Array) -> Array:
    """Half precision as float32, in which it is computed with."""
    return array.astype("float32") if array.dtype.itemsize == 2 else array
