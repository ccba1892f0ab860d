"""Update rules of the optimizers: arrays changed in place, elementwise; no groups, no state kept.

Each takes the weights ``w``, their gradient ``dw`` (only read) and the arrays of its state, all of
one shape and dtype, then the numbers of the rule by name. Being elementwise, a rule may be applied
to the pieces of an array one after another.
"""

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.reference.array import ArrayPrimitives


class OptimizerPrimitives(ArrayPrimitives):
    """One step of SGD, Adam and RMSprop."""

    def sgd_step(
        self,
        w: Any,
        dw: Any,
        buffer: Any | None,
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
        first: bool,
    ) -> None:
        """``w -= lr * b`` with ``b = momentum * b + (1 - dampening) * dw``.

        ``buffer`` holds b; None means no momentum. In the ``first`` step b is dw itself.
        """
        xp, scratch = self.xp, self.xp.empty_like(w)
        dw = self._decayed(w, dw, weight_decay, maximize)
        if buffer is not None:
            if first:
                buffer[...] = dw
            else:
                buffer *= momentum
                buffer += xp.multiply(dw, 1 - dampening, out=scratch)
            dw = dw + xp.multiply(buffer, momentum, out=scratch) if nesterov else buffer
        w -= xp.multiply(dw, lr, out=scratch)

    def adam_step(
        self,
        w: Any,
        dw: Any,
        m: Any,
        v: Any,
        v_max: Any | None,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
        maximize: bool,
        step: float,
    ) -> None:
        """``w -= lr * m̂ / (sqrt(v̂) + eps)`` with bias-corrected moments m̂, v̂ of dw and dw².

        ``step`` counts from 1. ``v_max`` (AMSGrad) holds the largest v yet, before correction.
        ``decoupled`` decay scales w by ``1 - lr * weight_decay`` instead of entering dw.
        """
        xp, scratch = self.xp, self.xp.empty_like(w)
        if decoupled and weight_decay:
            w *= 1 - lr * weight_decay
        dw = self._decayed(w, dw, 0 if decoupled else weight_decay, maximize)
        xp.subtract(dw, m, out=scratch)
        scratch *= 1 - beta1
        m += scratch
        v *= beta2
        xp.multiply(dw, dw, out=scratch)
        scratch *= 1 - beta2
        v += scratch
        if v_max is not None:
            v = xp.maximum(v_max, v, out=v_max)
        correction = math.sqrt(1 - beta2**step)  # of √v, moved to the numbers
        xp.sqrt(v, out=scratch)
        scratch += eps * correction
        xp.divide(m, scratch, out=scratch)
        scratch *= lr * correction / (1 - beta1**step)
        w -= scratch

    def rmsprop_step(
        self,
        w: Any,
        dw: Any,
        v: Any,
        buffer: Any | None,
        mean: Any | None,
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        maximize: bool,
    ) -> None:
        """``w -= lr * dw / (sqrt(v) + eps)``, v the running mean of dw².

        ``mean``, the running mean of dw, is given where v is to be centered: ``v - mean²``.
        ``buffer``, where given, gathers the quotients: ``b = momentum * b + dw / ...``.
        """
        xp, scratch = self.xp, self.xp.empty_like(w)
        dw = self._decayed(w, dw, weight_decay, maximize)
        v *= alpha
        xp.multiply(dw, dw, out=scratch)
        scratch *= 1 - alpha
        v += scratch
        if mean is None:
            xp.sqrt(v, out=scratch)
        else:
            xp.subtract(dw, mean, out=scratch)
            scratch *= 1 - alpha
            mean += scratch
            xp.multiply(mean, mean, out=scratch)
            xp.subtract(v, scratch, out=scratch)
            xp.sqrt(scratch, out=scratch)
        scratch += eps
        xp.divide(dw, scratch, out=scratch)
        if buffer is not None:
            buffer *= momentum
            buffer += scratch
            xp.multiply(buffer, lr, out=scratch)
        else:
            scratch *= lr
        w -= scratch

    def _decayed(self, w: Any, dw: Any, weight_decay: float, maximize: bool) -> Any:
        """``dw`` with its sign turned to maximize, and with the gradient of the L2 term."""
        if maximize:
            dw = -dw
        return dw + w * weight_decay if weight_decay else dw
