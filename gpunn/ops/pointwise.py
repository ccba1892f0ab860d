"""Elementwise operations: a table of one-argument functions, and arithmetic with broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunn.autograd.function import Function
from gpunn.autograd.variable import Array, Variable, wrap
from gpunn.backends import type2backend
from gpunn.ops.common import (
    Number,
    Op,
    Pointwise,
    float_array,
    need_tensor,
    not_implemented,
    operands,
    xp_of,
)

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Unary = Callable[["Tensor"], "Tensor"]


def _zero(dy: Tensor) -> Tensor:
    return dy * 0


class _UnaryOp(Op):
    """One row of the table; the derivative's parameters say what is saved: x, y or neither."""

    compute: Callable[[Any, Array], Array]
    derivative: Callable[..., Tensor]
    saves: str
    integers: bool
    refuses: str
    label: str

    @classmethod
    def forward(cls, ctx: Any, x: Tensor) -> Array:
        data = x.data if cls.integers else float_array(x)
        if data.dtype.kind in cls.refuses:
            raise not_implemented(cls.label, data)
        y = cls.compute(xp_of(x), data)
        if cls.saves:
            ctx.save_for_backward(x if cls.saves == "x" else y)
        return y

    @classmethod
    def backward(cls, ctx: Any, dy: Tensor) -> Tensor:
        return cls.derivative(dy, *ctx.saved_tensors)


def _unary(
    name: str,
    doc: str,
    compute: Callable[[Any, Array], Array],
    derivative: Callable[..., Tensor] | None = None,
    *,
    integers: bool = False,
    refuses: str = "",
) -> Unary:
    """A function of one tensor. ``integers``: it takes integers as they are, else as floats;
    it raises for the kinds of dtypes in ``refuses``."""
    code = getattr(derivative, "__code__", None)
    body = {
        "compute": staticmethod(compute),
        "derivative": staticmethod(derivative or _zero),
        "saves": "".join(code.co_varnames[1 : code.co_argcount]) if code else "",
        "integers": integers,
        "refuses": refuses,
        "label": name,
        "__module__": __name__,
    }
    op = type(name.title().replace("_", ""), (_UnaryOp,), body)

    def function(input: Tensor) -> Tensor:
        if not isinstance(input, Variable):
            need_tensor(name, input)
        return op.apply(input)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc}, elementwise."
    return function


def _special(name: str) -> Callable[[Any, Array], Array]:
    def compute(xp: Any, x: Array) -> Array:
        wide = x.astype(xp.float32) if x.dtype.itemsize == 2 else x
        return type2backend[type(x)].special(name)(wide).astype(x.dtype, copy=False)

    return compute


def _sigmoid(xp: Any, x: Array) -> Array:
    # Where e⁻ˣ overflows, 1 / inf is the 0 that it should be; in float16 it would do so too soon.
    y = xp.exp(-(x.astype(xp.float32) if x.dtype.itemsize == 2 else x))
    y += 1
    return (1 / y).astype(x.dtype, copy=False)


def _negative(xp: Any, x: Array) -> Array:
    if x.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return -x


def _sign(xp: Any, x: Array) -> Array:
    if x.dtype.kind == "b":
        return x.copy()
    return xp.sign(xp.where(x == x, x, x.dtype.type(0)))  # PyTorch's sign of NaN is 0


def _square(xp: Any, x: Array) -> Array:
    return x.astype("int64") if x.dtype.kind == "b" else x * x


def _relu(xp: Any, x: Array) -> Array:
    if x.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    return type2backend[type(x)].relu(x)


def _round(xp: Any, x: Array) -> Array:
    return xp.rint(x) if x.dtype.kind == "f" else x.copy()


_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)

# name, formula, NumPy's or CuPy's way, dx from dy and x or y
neg = _unary("neg", "-x", _negative, lambda dy: -dy, integers=True)
abs = _unary(
    "abs", "The absolute value |x|", lambda xp, x: xp.abs(x), lambda dy, x: dy * sign(x),
    integers=True, refuses="b",
)  # fmt: skip
sign = _unary("sign", "-1, 0 or 1", _sign, _zero, integers=True)
square = _unary("square", "x²", _square, lambda dy, x: dy * 2 * x, integers=True)
exp = _unary("exp", "eˣ", lambda xp, x: xp.exp(x), lambda dy, y: dy * y)
exp2 = _unary("exp2", "2ˣ", lambda xp, x: xp.exp2(x), lambda dy, y: dy * y * math.log(2))
expm1 = _unary("expm1", "eˣ - 1", lambda xp, x: xp.expm1(x), lambda dy, y: dy * (y + 1))
log = _unary("log", "The natural logarithm ln x", lambda xp, x: xp.log(x), lambda dy, x: dy / x)
log2 = _unary("log2", "log₂ x", lambda xp, x: xp.log2(x), lambda dy, x: dy / (x * math.log(2)))
log10 = _unary("log10", "log₁₀ x", lambda xp, x: xp.log10(x), lambda dy, x: dy / (x * math.log(10)))
log1p = _unary("log1p", "ln(1 + x)", lambda xp, x: xp.log1p(x), lambda dy, x: dy / (x + 1))
sqrt = _unary("sqrt", "√x", lambda xp, x: xp.sqrt(x), lambda dy, y: dy / (2 * y))
rsqrt = _unary("rsqrt", "1/√x", lambda xp, x: 1 / xp.sqrt(x), lambda dy, y: dy * y * y * y * -0.5)
reciprocal = _unary("reciprocal", "1/x", lambda xp, x: 1 / x, lambda dy, y: -dy * y * y)
sin = _unary("sin", "sin x", lambda xp, x: xp.sin(x), lambda dy, x: dy * cos(x))
cos = _unary("cos", "cos x", lambda xp, x: xp.cos(x), lambda dy, x: -dy * sin(x))
tan = _unary("tan", "tan x", lambda xp, x: xp.tan(x), lambda dy, y: dy * (y * y + 1))
asin = _unary("asin", "arcsin x", lambda xp, x: xp.arcsin(x), lambda dy, x: dy * rsqrt(1 - x * x))
acos = _unary("acos", "arccos x", lambda xp, x: xp.arccos(x), lambda dy, x: -dy * rsqrt(1 - x * x))
atan = _unary("atan", "arctan x", lambda xp, x: xp.arctan(x), lambda dy, x: dy / (x * x + 1))
sinh = _unary("sinh", "sinh x", lambda xp, x: xp.sinh(x), lambda dy, x: dy * cosh(x))
cosh = _unary("cosh", "cosh x", lambda xp, x: xp.cosh(x), lambda dy, x: dy * sinh(x))
tanh = _unary("tanh", "tanh x", lambda xp, x: xp.tanh(x), lambda dy, y: dy * (1 - y * y))
sigmoid = _unary("sigmoid", "1 / (1 + e⁻ˣ)", _sigmoid, lambda dy, y: dy * y * (1 - y))
erf = _unary(
    "erf", "The error function 2/√π ∫₀ˣ exp(-t²) dt", _special("erf"),
    lambda dy, x: dy * exp(-x * x) * _TWO_OVER_ROOT_PI,
)  # fmt: skip
relu = _unary(
    "relu", "max(x, 0)", _relu, lambda dy, y: Masked.apply(dy, wrap(y.data > 0)), integers=True,
)  # fmt: skip
_whole = {"integers": True, "refuses": "b"}
floor = _unary("floor", "The largest integer <= x", lambda xp, x: xp.floor(x), _zero, **_whole)
ceil = _unary("ceil", "The smallest integer >= x", lambda xp, x: xp.ceil(x), _zero, **_whole)
trunc = _unary("trunc", "x without its fraction", lambda xp, x: xp.trunc(x), _zero, **_whole)
_nearest = _unary("round", "The nearest integer", _round, _zero, **_whole)
isnan = _unary("isnan", "Whether x is NaN", lambda xp, x: xp.isnan(x), integers=True)
isinf = _unary("isinf", "Whether x is infinite", lambda xp, x: xp.isinf(x), integers=True)
isfinite = _unary("isfinite", "Whether x is finite", lambda xp, x: xp.isfinite(x), integers=True)
logical_not = _unary("logical_not", "x == 0", lambda xp, x: xp.logical_not(x), integers=True)


class Masked(Pointwise):
    """``x`` where ``mask``, else exactly 0 (also for NaN and infinity)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor) -> Array:
        ctx.save_for_backward(None, mask)
        return type2backend[type(x.data)].masked(x.data, mask.data)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Masked.apply(dy, ctx.saved_tensors[1]), None


# Arithmetic ---------------------------------------------------------------------------------


class Add(Pointwise):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        (a, b), _ = operands(x, y)
        return a + b

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        return dy, dy


class Sub(Pointwise):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        (a, b), _ = operands(x, y)
        bools = [v for v in (x, y) if _is_bool(v)]
        if len(bools) == 2:
            raise RuntimeError(
                "Subtraction, the `-` operator, with two bool tensors is not supported. "
                "Use the `^` or `logical_xor()` operator instead."
            )
        if bools:
            raise RuntimeError(
                "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
                "trying to invert a mask, use the `~` or `logical_not()` operator instead."
            )
        return a - b

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy, -dy if ctx.needs_input_grad[1] else None


class Mul(Pointwise):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        _save_factors(ctx, x, y)
        (a, b), _ = operands(x, y)
        return a * b

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = _factors(ctx)
        need_x, need_y = ctx.needs_input_grad
        return dy * y if need_x else None, dy * x if need_y else None


class Div(Pointwise):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        ctx.scalars = [None if isinstance(v, Variable) else v for v in (x, y)]
        need_x, need_y = ctx.needs_input_grad
        ctx.save_for_backward(
            x if need_y and isinstance(x, Variable) else None,
            y if (need_x or need_y) and isinstance(y, Variable) else None,
        )
        (a, b), _ = operands(x, y, to_float=True)
        return a / b

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = _factors(ctx)
        need_x, need_y = ctx.needs_input_grad
        return dy / y if need_x else None, -dy * (x / y) / y if need_y else None


def _is_bool(x: Any) -> bool:
    return x._data.dtype.kind == "b" if isinstance(x, Variable) else isinstance(x, bool)


def _save_factors(ctx: Function, x: Any, y: Any) -> None:
    """Keep each of two operands if the other's gradient needs it; numbers are kept beside."""
    need_x, need_y = ctx.needs_input_grad
    if not (need_x or need_y):
        return
    ctx.scalars = [None if isinstance(v, Variable) else v for v in (x, y)]  # type: ignore[attr-defined]
    ctx.save_for_backward(
        x if need_y and isinstance(x, Variable) else None,
        y if need_x and isinstance(y, Variable) else None,
    )


def _factors(ctx: Any) -> tuple[Any, Any]:
    x, y = ctx.saved_tensors
    return (x if ctx.scalars[0] is None else ctx.scalars[0]), (
        y if ctx.scalars[1] is None else ctx.scalars[1]
    )


class Pow(Pointwise):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Array:
        ctx.scalars = [None if isinstance(v, Variable) else v for v in (x, y)]
        (a, b), xp = operands(x, y)
        kind = (b if isinstance(a, (int, float)) else a).dtype.kind
        if kind == "b" and isinstance(y, Variable):
            raise NotImplementedError("\"pow\" not implemented for 'Bool'")
        if kind in "iu" and _any_negative(y.data if isinstance(y, Variable) else y):
            if not isinstance(y, Variable):
                raise RuntimeError("Integers to negative integer powers are not allowed.")
            return _integer_power(xp, a, b)
        result = a**b if kind != "b" else a | (not b)
        ctx.save_for_backward(
            x if isinstance(x, Variable) and any(ctx.needs_input_grad) else None,
            y if isinstance(y, Variable) and any(ctx.needs_input_grad) else None,
            result if ctx.needs_input_grad[1] else None,
        )
        return result

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y, result = ctx.saved_tensors
        x = x if ctx.scalars[0] is None else ctx.scalars[0]
        y = y if ctx.scalars[1] is None else ctx.scalars[1]
        dx = dlog = None
        if ctx.needs_input_grad[0]:
            if not isinstance(y, Variable):
                dx = dy * 0 if y == 0 else dy * (y * x ** (y - 1))
            else:
                dx = dy * where(y == 0, 0.0, y * x ** (y - 1))
        if ctx.needs_input_grad[1]:
            if isinstance(x, Variable):
                # x**y is 0 for x == 0 and y >= 0, whatever y: the derivative there is 0.
                dlog = dy * where((x == 0) & (y >= 0), 0.0, result * log(x))
            elif x == 0:
                dlog = dy * where(y >= 0, 0.0, result * -math.inf)
            else:
                dlog = dy * result * (math.log(x) if x > 0 else math.nan)
        return dx, dlog


def _any_negative(b: Any) -> bool:
    return bool((b < 0).any()) if hasattr(b, "any") else b < 0


def _integer_power(xp: Any, a: Array, b: Array) -> Array:
    """Integers to tensor powers, as PyTorch: a negative power of anything but ±1 is 0."""
    positive = a ** xp.where(b < 0, 0, b)
    ones = xp.where(b % 2 == 0, 1, a)
    return xp.where(b < 0, xp.where(xp.abs(a) == 1, ones, 0), positive).astype(a.dtype)


class Maximum(Pointwise):
    """The larger of two; a tie shares the gradient."""

    compute = "maximum"

    @classmethod
    def forward(cls, ctx: Any, x: Tensor, y: Tensor) -> Array:
        ctx.save_for_backward(x, y)
        (a, b), xp = operands(x, y)
        return getattr(xp, cls.compute)(a, b)

    @classmethod
    def backward(cls, ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        x, y = ctx.saved_tensors
        chosen = (x > y) if cls.compute == "maximum" else (x < y)
        share = where(x == y, 0.5, chosen.to(dy.dtype)).detach()
        return dy * share, dy * (1 - share)


class Minimum(Maximum):
    compute = "minimum"


class Atan2(Pointwise):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Array:
        ctx.save_for_backward(x, y)
        (a, b), xp = operands(x, y, to_float=True)
        return xp.arctan2(a, b)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        need_x, need_y = ctx.needs_input_grad
        scaled = dy / (x * x + y * y)
        return scaled * y if need_x else None, -scaled * x if need_y else None


class Where(Pointwise):
    @staticmethod
    def forward(ctx: Any, condition: Tensor, x: Any, y: Any) -> Array:
        ctx.save_for_backward(condition)
        if isinstance(x, Variable) or isinstance(y, Variable):
            (a, b), xp = operands(x, y)
        else:
            xp = xp_of(condition)
            from_numbers = operands(condition, x, y)[0]
            a, b = from_numbers[1], from_numbers[2]
        return xp.where(condition.data, a, b)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (condition,) = ctx.saved_tensors
        _, need_x, need_y = ctx.needs_input_grad
        return (
            None,
            Masked.apply(dy, condition) if need_x else None,
            Masked.apply(dy, logical_not(condition)) if need_y else None,
        )


class Clamp(Pointwise):
    """min(max(x, low), high); the gradient goes to whichever of the three is the result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Any, high: Any) -> Array:
        (a, *bounds), xp = operands(x, *[v for v in (low, high) if v is not None])
        under, over = None, None
        y = a
        if low is not None:
            bound = bounds.pop(0)
            y, under = xp.maximum(y, bound), a < bound
        if high is not None:
            bound = bounds.pop(0)
            over = y > bound
            under = under if under is None else under & ~over
            y, over = xp.minimum(y, bound), over
        ctx.save_for_backward(under, over)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        under, over = ctx.saved_tensors
        dx: Tensor | None = None
        need_x, need_low, need_high = ctx.needs_input_grad
        if need_x:
            dx = dy
            for outside in (under, over):
                dx = dx if outside is None else Masked.apply(dx, logical_not(outside))
        return (
            dx,
            Masked.apply(dy, under) if need_low else None,
            Masked.apply(dy, over) if need_high else None,
        )


class Rounded(Pointwise):
    """Division that rounds: floor_divide and trunc; no gradient flows."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, mode: str) -> Array:
        (a, b), xp = operands(x, y)
        kind = _divisible(f"div_{mode}", a, b)
        if mode == "floor":
            return xp.floor_divide(a, b)
        if kind == "f":
            return xp.trunc(a / b)
        return (xp.sign(a) * xp.sign(b) * (xp.abs(a) // xp.abs(b))).astype(a.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy * 0, dy * 0, None


def _divisible(name: str, a: Any, b: Any) -> str:
    """The kind of the operands' dtype. Raises for bools, and for integers divided by zero."""
    array = b if isinstance(a, (int, float)) else a
    kind: str = array.dtype.kind
    if kind == "b":
        raise not_implemented(name, array)
    if kind != "f" and array.size and bool(b == 0 if isinstance(b, int) else (b == 0).any()):
        raise RuntimeError("ZeroDivisionError")
    return kind


class Remainder(Pointwise):
    """x - y * round(x / y), with the sign of y (floor) or of x (trunc, fmod)."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, mode: str) -> Array:
        (a, b), xp = operands(x, y)
        _divisible("remainder" if mode == "floor" else "fmod", a, b)
        ctx.mode, ctx.scalars = mode, [None if isinstance(v, Variable) else v for v in (x, y)]
        ctx.save_for_backward(*[v if isinstance(v, Variable) else None for v in (x, y)])
        return xp.remainder(a, b) if mode == "floor" else xp.fmod(a, b)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, y = _factors(ctx)
        need_y = ctx.needs_input_grad[1]
        return dy, -dy * div(x, y, rounding_mode=ctx.mode) if need_y else None, None


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number of ``decimals`` decimals, ties to the even one, elementwise."""
    if not decimals:
        return _nearest(input)
    if input.data.dtype.kind != "f":
        raise not_implemented("round_decimals", input.data)
    return _nearest(input * 10.0**decimals) / 10.0**decimals


def add(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``input + alpha * other``, broadcasting."""
    return Add.apply(input, other if alpha == 1 else _scaled(input, other, alpha))


def _scaled(input: Any, other: Tensor | Number, alpha: Number) -> Any:
    if isinstance(alpha, float) and not any(
        isinstance(v, float) or (isinstance(v, Variable) and v._data.dtype.kind == "f")
        for v in (input, other)
    ):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    return mul(other, alpha)


def sub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """``input - alpha * other``, broadcasting. Bool tensors raise RuntimeError."""
    return Sub.apply(input, other if alpha == 1 else _scaled(input, other, alpha))


def mul(input: Tensor | Number, other: Tensor | Number) -> Any:
    """``input * other``, broadcasting."""
    if not isinstance(input, Variable) and not isinstance(other, Variable):
        return input * other
    return Mul.apply(input, other)


def div(
    input: Tensor | Number, other: Tensor | Number, *, rounding_mode: str | None = None
) -> Tensor:
    """``input / other``, broadcasting; integers divide to the default float.

    ``rounding_mode``: None, "floor" or "trunc".
    """
    if rounding_mode is None:
        return Div.apply(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' "
            f"but found '{rounding_mode}'"
        )
    return Rounded.apply(input, other, rounding_mode)


def floor_divide(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """``floor(input / other)``, broadcasting, in the promoted dtype."""
    return Rounded.apply(input, other, "floor")


def remainder(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """``input - other * floor(input / other)``: the sign is the divisor's, as in Python."""
    return Remainder.apply(input, other, "floor")


def fmod(input: Tensor, other: Tensor | Number) -> Tensor:
    """``input - other * trunc(input / other)``: the sign is the dividend's, as in C."""
    return Remainder.apply(input, other, "trunc")


def pow(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """``input ** exponent``, broadcasting."""
    return Pow.apply(input, exponent)


def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle of the point (``other``, ``input``), in (-π, π], elementwise, broadcasting."""
    return Atan2.apply(input, other)


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two, elementwise; NaN wins, and a tie shares the gradient equally."""
    return Maximum.apply(input, other)


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two, elementwise; NaN wins, and a tie shares the gradient equally."""
    return Minimum.apply(input, other)


def where(
    condition: Tensor, input: Tensor | Number | None = None, other: Tensor | Number | None = None
) -> Any:
    """``input`` where ``condition`` (bool), else ``other``; all three broadcast.

    ``where(condition)`` alone: the indices of what is not 0, one tensor per dimension.
    """
    if input is None and other is None:
        data = condition.data if condition.data.ndim else condition.data.reshape(1)
        return tuple(wrap(i) for i in data.nonzero())
    if condition.data.dtype.kind != "b":
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype}"
        )
    return Where.apply(condition, input, other)


def clamp(
    input: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None
) -> Tensor:
    """``min(max(input, min), max)``; the gradient is 1 inside and at the bounds."""
    if min is None and max is None:
        raise RuntimeError("gpunn.clamp: At least one of 'min' or 'max' must not be None")
    return Clamp.apply(input, min, max)


# Comparison, logic, bits: no gradients ----------------------------------------------------


def _binary(name: str, doc: str, compute: Callable[[Any, Any, Any], Array]) -> Callable[..., Any]:
    class Compare(Pointwise):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Array:
            (a, b), xp = operands(x, y)
            return compute(xp, a, b)

    Compare.__name__ = Compare.__qualname__ = name.title()

    def function(input: Tensor, other: Tensor | Number) -> Tensor:
        return Compare.apply(input, other)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc}, elementwise, broadcasting."
    return function


def _bits(name: str) -> Callable[[Any, Any, Any], Array]:
    def compute(xp: Any, a: Any, b: Any) -> Array:
        array = b if isinstance(a, (int, float)) else a
        if array.dtype.kind == "f":
            raise not_implemented(name, array)
        return getattr(xp, name)(a, b)

    return compute


eq = _binary("eq", "input == other", lambda xp, a, b: xp.equal(a, b))
ne = _binary("ne", "input != other", lambda xp, a, b: xp.not_equal(a, b))
lt = _binary("lt", "input < other", lambda xp, a, b: xp.less(a, b))
le = _binary("le", "input <= other", lambda xp, a, b: xp.less_equal(a, b))
gt = _binary("gt", "input > other", lambda xp, a, b: xp.greater(a, b))
ge = _binary("ge", "input >= other", lambda xp, a, b: xp.greater_equal(a, b))
logical_and = _binary("logical_and", "Both not 0", lambda xp, a, b: xp.logical_and(a, b))
logical_or = _binary("logical_or", "Either not 0", lambda xp, a, b: xp.logical_or(a, b))
logical_xor = _binary("logical_xor", "One alone not 0", lambda xp, a, b: xp.logical_xor(a, b))
bitwise_and = _binary("bitwise_and", "input & other", _bits("bitwise_and"))
bitwise_or = _binary("bitwise_or", "input | other", _bits("bitwise_or"))
bitwise_xor = _binary("bitwise_xor", "input ^ other", _bits("bitwise_xor"))
bitwise_left_shift = _binary("bitwise_left_shift", "input << other", _bits("left_shift"))
bitwise_right_shift = _binary("bitwise_right_shift", "input >> other", _bits("right_shift"))
bitwise_not = _unary("bitwise_not", "~x", lambda xp, x: xp.invert(x), integers=True, refuses="f")


def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """|input - other| <= atol + rtol * |other|, elementwise."""
    close = (input == other) | (isfinite(other) & (abs(input - other) <= atol + rtol * abs(other)))
    return close | (isnan(input) & isnan(other)) if equal_nan else close


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether ``isclose`` holds for all elements."""
    return bool(isclose(input, other, rtol, atol, equal_nan).data.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements."""
    return input.data.shape == other.data.shape and bool((input == other).data.all())
