"""A differentiable operation of one's own: ``python -m gpunn.examples.own_function``.

``forward`` works on arrays and asks ``type2backend`` for the array module, so the same lines run on
NumPy and CuPy arrays. ``backward`` works on tensors and is made of differentiable operations, so
that second derivatives need nothing more.
"""

from __future__ import annotations

from typing import Any

import gpunn
from gpunn.autograd import Function, gradcheck, gradgradcheck
from gpunn.backends import type2backend


class Sine(Function):
    """y = sin x, dx = dy cos x."""

    @staticmethod
    def forward(ctx: Any, x: gpunn.Tensor) -> Any:
        backend = type2backend[type(x.data)]
        ctx.save_for_backward(x)
        return backend.xp.sin(x.data)

    @staticmethod
    def backward(ctx: Any, dy: gpunn.Tensor) -> gpunn.Tensor:
        (x,) = ctx.saved_tensors
        return dy * Cosine.apply(x)


class Cosine(Function):
    """y = cos x, dx = -dy sin x."""

    @staticmethod
    def forward(ctx: Any, x: gpunn.Tensor) -> Any:
        backend = type2backend[type(x.data)]
        ctx.save_for_backward(x)
        return backend.xp.cos(x.data)

    @staticmethod
    def backward(ctx: Any, dy: gpunn.Tensor) -> gpunn.Tensor:
        (x,) = ctx.saved_tensors
        return -dy * Sine.apply(x)


def main() -> None:
    """Compare both derivatives with finite differences, and print a few values."""
    x = gpunn.linspace(0, 3, 4, dtype=gpunn.float64, requires_grad=True)
    y = Sine.apply(x)
    (dx,) = gpunn.autograd.grad(y.sum(), x, create_graph=True)
    (ddx,) = gpunn.autograd.grad(dx.sum(), x)
    print(f"sin x   {y}\nsin' x  {dx}\nsin'' x {ddx}")
    print("gradcheck", gradcheck(Sine.apply, x), "gradgradcheck", gradgradcheck(Sine.apply, x))


if __name__ == "__main__":
    main()
