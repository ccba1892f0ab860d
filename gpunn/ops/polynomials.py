"""Orthogonal polynomials, elementwise: a table of recurrences; no gradients, as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.ops.calling import extended
from gpunn.ops.common import as_tensor_like, local, need_tensor, not_implemented, operands

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

# The next polynomial from k, x, the k-th and the one before.
_Step = Callable[[int, Array, Array, Array], Array]


def _polynomial(
    name: str, doc: str, first: Callable[[Array], Array], step: _Step
) -> Callable[..., Tensor]:
    """The ``n``-th of the polynomials that begin 1, ``first``; 0 for negative ``n``."""

    def function(input: Any, n: Any) -> Tensor:
        if isinstance(n, Variable):
            input = as_tensor_like(input, n)
        need_tensor(name, input)
        (x, order), xp = operands(input, as_tensor_like(n, input), to_float=True)
        if x.dtype.itemsize < 4:
            raise not_implemented(name, x)
        x, order = xp.broadcast_arrays(x, xp.trunc(order))
        before, now = xp.ones_like(x), first(x)
        y = xp.where(order < 0, x.dtype.type(0), before)
        for k in range(1, int(order.max()) + 1 if order.size else 0):
            y = xp.where(order >= k, now, y)
            before, now = now, step(k, x, now, before)
        return wrap(y)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc} of degree ``n``, elementwise, broadcasting; no gradient."
    return extended(local(function))


def _chebyshev(k: int, x: Array, now: Array, before: Array) -> Array:
    return 2 * x * now - before


def _shifted(k: int, x: Array, now: Array, before: Array) -> Array:
    return _chebyshev(k, 2 * x - 1, now, before)


_CHEBYSHEV: dict[str, Callable[[Array], Array]] = {
    "t": lambda x: x,
    "u": lambda x: 2 * x,
    "v": lambda x: 2 * x - 1,
    "w": lambda x: 2 * x + 1,
}


def _family(kind: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Chebyshev's polynomials of one kind, and the same on [0, 1]."""
    name, doc, first = (
        f"chebyshev_polynomial_{kind}",
        f"Chebyshev's {kind.upper()}",
        _CHEBYSHEV[kind],
    )
    return (
        _polynomial(name, doc, first, _chebyshev),
        _polynomial(f"shifted_{name}", f"{doc} of 2x - 1", lambda x: first(2 * x - 1), _shifted),
    )


chebyshev_polynomial_t, shifted_chebyshev_polynomial_t = _family("t")
chebyshev_polynomial_u, shifted_chebyshev_polynomial_u = _family("u")
chebyshev_polynomial_v, shifted_chebyshev_polynomial_v = _family("v")
chebyshev_polynomial_w, shifted_chebyshev_polynomial_w = _family("w")
hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h", "Hermite's H", lambda x: 2 * x,
    lambda k, x, now, before: 2 * x * now - 2 * k * before,
)  # fmt: skip
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he", "Hermite's He", lambda x: x,
    lambda k, x, now, before: x * now - k * before,
)  # fmt: skip
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l", "Laguerre's L", lambda x: 1 - x,
    lambda k, x, now, before: ((2 * k + 1 - x) * now - k * before) / (k + 1),
)  # fmt: skip
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p", "Legendre's P", lambda x: x,
    lambda k, x, now, before: ((2 * k + 1) * x * now - k * before) / (k + 1),
)  # fmt: skip
