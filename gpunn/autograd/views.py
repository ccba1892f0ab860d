"""View: a Function whose output shares memory; how a change of a piece reaches the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpunn.autograd.function import Function
from gpunn.autograd.grad_mode import thread
from gpunn.autograd.variable import NO_GRAD_VIEW, Array, Variable, Way, owner_of, steps, wrap
from gpunn.backends import type2backend

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class View(Function):
    """A Function of one tensor whose output may share the input's memory."""

    def _way(self, base: Variable, args: tuple[Any, ...]) -> Way | str:
        x = args[0]
        if base is not x and isinstance(x._view, str):
            return x._view
        if not thread.mode.enabled:
            return NO_GRAD_VIEW
        return (None if base is x else x._view), type(self), args[1:]


class _Scatter(Function):
    """``base`` with ``piece`` written where ``way`` leads.

    The memory has already been written when this is recorded: forward returns it as it is.
    """

    @staticmethod
    def forward(ctx: Any, base: Tensor, piece: Tensor, way: Way) -> Array:
        ctx.way = way
        return base.data

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        need_base, need_piece, _ = ctx.needs_input_grad
        dpiece = dy
        for view, args in steps(ctx.way) if need_piece else ():
            dpiece = view.apply(dpiece, *args)
        return (
            _Hole.apply(dy, ctx.way) if need_base else None,
            dpiece if need_piece else None,
            None,
        )


class _Hole(Function):
    """A copy of ``x`` with zeros where ``way`` leads."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, way: Way) -> Array:
        ctx.way = way
        backend = type2backend[type(x.data)]
        y = wrap(backend.copy(x.data))
        place = _at(y, way)
        if owner_of(place.data) is owner_of(y.data):
            place.data[...] = 0
        else:  # the way is a view of the base's memory layout, not of this one
            numbers = backend.xp.arange(y.data.size).reshape(y.data.shape)
            y.data.reshape(-1)[_at(wrap(numbers), way).data] = 0
        return y.data

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return _Hole.apply(dy, ctx.way), None


def _at(x: Variable, way: Way) -> Variable:
    for view, args in steps(way):
        x = wrap(view.forward(Function(), x, *args))
    return x


Variable._scatter = _Scatter
