"""Elementwise operations of two tensors beyond arithmetic: a table, with derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from gpunn.autograd.variable import Array, Variable
from gpunn.dtype import FLOATING, accumulator, float64, get_default_dtype
from gpunn.ops.arithmetic import mul, pow
from gpunn.ops.calling import extended, into
from gpunn.ops.common import (
    Number,
    Pointwise,
    as_tensor_like,
    need_tensor,
    not_implemented,
    pair,
    result_type,
    xp_of,
)
from gpunn.ops.pointwise import Masked, exp, exp2, log, sign

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

# dx (or dy) from the gradient of the result, both operands and the result.
Derivative: TypeAlias = "Callable[[Any, Any, Any, Any], Tensor]"


class _BinaryOp(Pointwise):
    """One row of the table."""

    compute: Callable[[Any, Array, Array], Array]
    derivatives: tuple[Derivative, Derivative] | None
    to_float: bool
    takes: str
    label: str

    @classmethod
    def forward(cls, ctx: Any, x: Tensor, y: Tensor) -> Array:
        a, b, xp = pair(x, y, to_float=cls.to_float)
        if a.dtype.kind not in cls.takes:
            raise not_implemented(cls.label, a)
        result = cls.compute(xp, a, b)
        ctx.save_for_backward(x, y, result if cls.derivatives else None)
        return result

    @classmethod
    def backward(cls, ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        if cls.derivatives is None:
            raise RuntimeError(f"derivative for aten::{cls.label} is not implemented")
        x, y, result = ctx.saved_tensors
        return tuple(
            derivative(dy, x, y, result) if needed else None
            for derivative, needed in zip(cls.derivatives, ctx.needs_input_grad, strict=True)
        )


def binary(
    name: str,
    doc: str,
    compute: Callable[[Any, Array, Array], Array],
    dx: Derivative | None = None,
    dy: Derivative | None = None,
    *,
    to_float: bool = False,
    takes: str = FLOATING,
    numbers: str = "",
) -> Callable[..., Tensor]:
    """A function of two tensors whose common dtype is one of ``takes``; ``numbers`` says which of
    them may be a number, "first" or "second"; ``to_float`` takes integers as floats."""
    body: dict[str, Any] = {
        "compute": staticmethod(compute),
        "derivatives": (dx, dy) if dx and dy else None,
        "to_float": to_float,
        "takes": takes,
        "label": name,
        "__module__": __name__,
    }
    op = type(name.title().replace("_", ""), (_BinaryOp,), body)

    def function(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
        if "first" in numbers and isinstance(other, Variable):
            input = _beside(input, other)
        if "second" in numbers and isinstance(input, Variable):
            other = _beside(other, input)
        need_tensor(name, input)
        need_tensor(name, other, "other", 2)
        y = op.apply(input, other)
        return y if out is None else into(out, y, name)

    function.__name__ = function.__qualname__ = name
    function.__module__ = (dx or compute).__module__  # the table's that it stands in
    function.__doc__ = f"{doc}, elementwise, broadcasting."
    return function


def _beside(value: Any, x: Variable) -> Tensor:
    """``value``, if a number, as a 0-d float tensor that promotes ``x`` no further than it."""
    if isinstance(value, Variable):
        return value  # pyright: ignore[reportReturnType]
    kind = result_type(x, value)
    return as_tensor_like(value, x).to(kind if kind.is_floating_point else get_default_dtype())


def _wider(function: str) -> Callable[[Any, Array, Array], Array]:
    """NumPy's function, 16-bit floats computed in float32."""

    def compute(xp: Any, a: Array, b: Array) -> Array:
        wide = accumulator(a.dtype)
        return getattr(xp, function)(a.astype(wide), b.astype(wide)).astype(a.dtype, copy=False)

    return compute


def _xlogy(xp: Any, a: Array, b: Array) -> Array:
    product = a * xp.log(b)
    return xp.where(xp.isnan(b), b, xp.where(a == 0, a.dtype.type(0), product))


def _heaviside(xp: Any, a: Array, b: Array) -> Array:
    return xp.where(a == 0, b, (a > 0).astype(a.dtype))


def _first(dy: Any, x: Any, y: Any, result: Any) -> Tensor:
    """For fmax and fmin: where the result is x, or y is NaN."""
    return Masked.apply(dy, (x == result) | (y != y))


def _second(dy: Any, x: Any, y: Any, result: Any) -> Tensor:
    return Masked.apply(dy, ~((x == result) | (y != y)))


_ALL = FLOATING + "iub"
hypot = binary(
    "hypot", "√(input² + other²)", _wider("hypot"),
    lambda dy, x, y, r: dy * (x / r), lambda dy, x, y, r: dy * (y / r),
)  # fmt: skip
copysign = binary(
    "copysign", "|input| with the sign of other", lambda xp, a, b: xp.copysign(a, b),
    lambda dy, x, y, r: dy * sign(x) * sign(r), lambda dy, x, y, r: dy * 0,
    to_float=True, numbers="second",
)  # fmt: skip
fmax = binary(
    "fmax", "The larger of two, or the one that is no NaN", lambda xp, a, b: xp.fmax(a, b),
    _first, _second, takes=_ALL,
)  # fmt: skip
fmin = binary(
    "fmin", "The smaller of two, or the one that is no NaN", lambda xp, a, b: xp.fmin(a, b),
    _first, _second, takes=_ALL,
)  # fmt: skip
logaddexp = binary(
    "logaddexp", "log(e^input + e^other)", _wider("logaddexp"),
    lambda dy, x, y, r: dy * exp(x - r), lambda dy, x, y, r: dy * exp(y - r),
)  # fmt: skip
logaddexp2 = binary(
    "logaddexp2", "log₂(2^input + 2^other)", _wider("logaddexp2"),
    lambda dy, x, y, r: dy * exp2(x - r), lambda dy, x, y, r: dy * exp2(y - r),
)  # fmt: skip
xlogy = binary(
    "xlogy", "input log(other), and 0 where input is 0", _xlogy,
    lambda dy, x, y, r: Masked.apply(dy * log(y.to(dy.dtype)), ~((x == 0) & (y <= 0))),
    lambda dy, x, y, r: dy * x / y, to_float=True, numbers="first second",
)  # fmt: skip
nextafter = binary(
    "nextafter", "The number next to input on the way to other",
    lambda xp, a, b: xp.nextafter(a, b),
    lambda dy, x, y, r: Masked.apply(dy, x != y), lambda dy, x, y, r: dy * 0, takes="f",
)  # fmt: skip
_step = binary(
    "heaviside", "0 where input < 0, other where it is 0, else 1", _heaviside, takes=_ALL
)
gcd = binary("gcd", "The greatest common divisor", lambda xp, a, b: xp.gcd(a, b), takes="iu")
lcm = binary("lcm", "The least common multiple", lambda xp, a, b: abs(xp.lcm(a, b)), takes="iu")


@extended
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where ``input`` < 0, ``values`` where it is 0, else 1; both of one dtype."""
    need_tensor("heaviside", values, "values", 2)
    if input.dtype != values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return _step(input, values)


class Ldexp(Pointwise):
    """Of floats and integers: exact, also where the power alone would overflow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, exponent: Tensor) -> Array:
        ctx.save_for_backward(exponent)
        return xp_of(x).ldexp(x.data, exponent.data)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Ldexp.apply(dy, ctx.saved_tensors[0]), None


@extended
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """``input * 2 ** other``, elementwise, broadcasting."""
    need_tensor("ldexp", input)
    need_tensor("ldexp", other, "other", 2)
    kinds = input.data.dtype.kind in FLOATING, other.data.dtype.kind in FLOATING
    if kinds != (True, False):
        return mul(input, pow(2.0, other))
    if other.data.dtype.kind == "b":
        raise not_implemented("ldexp", other.data)
    return Ldexp.apply(input, other)


@extended
def float_power(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """``input ** exponent`` in float64, elementwise, broadcasting."""
    x, y = (v.to(float64) if isinstance(v, Variable) else float(v) for v in (input, exponent))
    return pow(x, y)
