"""Elementwise operations of one tensor: a table of functions and their derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from gpunn.autograd.variable import Array, Variable
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, accumulator, finfo, in_use
from gpunn.ops.calling import extended, into
from gpunn.ops.common import (
    Op,
    Pointwise,
    dtype_of,
    float_array,
    need_tensor,
    not_implemented,
    xp_of,
)
from gpunn.ops.precision import LISTED, cast_for

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Unary: TypeAlias = "Callable[[Tensor], Tensor]"
# dx from dy, and from x or y where it needs one.
Derivative: TypeAlias = "Callable[[Tensor], Tensor] | Callable[[Tensor, Tensor], Tensor]"


def _zero(dy: Tensor) -> Tensor:
    return dy * 0


class _UnaryOp(Op):
    """One row of the table; the derivative's parameters say what is saved: x, y or neither."""

    compute: Callable[[Any, Array], Array]
    derivative: Callable[..., Tensor]
    saves: str
    takes: str  # the kinds of dtypes that are computed on as they are;
    integers: bool  # are others refused, or else computed on as floats?
    label: str

    @classmethod
    def forward(cls, ctx: Any, x: Tensor) -> Array:
        data = x._data
        if data.dtype.kind not in cls.takes:
            if cls.integers:
                raise not_implemented(cls.label, data)
            data = float_array(x)
        y = cls.compute(xp_of(x), data)
        if cls.saves:
            ctx.save_for_backward(x if cls.saves == "x" else y)
        return y

    @classmethod
    def backward(cls, ctx: Any, dy: Tensor) -> Tensor:
        return cls.derivative(dy, *ctx.saved_tensors)


def unary(
    name: str,
    doc: str,
    compute: Callable[[Any, Array], Array],
    derivative: Derivative | None = None,
    *,
    integers: bool = False,
    refuses: str = "",
) -> Unary:
    """A function of one tensor. ``integers``: it takes integers as they are, else as floats;
    it raises for the kinds of dtypes in ``refuses``."""
    code = getattr(derivative, "__code__", None)
    slope: Any = derivative or _zero
    body: dict[str, Any] = {
        "compute": staticmethod(compute),
        "derivative": staticmethod(slope),
        "_arithmetic": not slope.__code__.co_names,
        "saves": "".join(code.co_varnames[1 : code.co_argcount]) if code else "",
        "takes": "".join(k for k in FLOATING + "iub" * integers if k not in refuses),
        "integers": integers,
        "label": name,
        "__module__": __name__,
    }
    op = type(name.title().replace("_", ""), (_UnaryOp,), body)

    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, Variable):
            need_tensor(name, input)
        y = op.apply(input)
        return y if out is None else into(out, y, name)

    def in_float32(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if in_use and isinstance(input, Variable):
            (input,) = cast_for(name, input)
        return plain(input, out=out)

    if name in LISTED:
        plain, function = function, in_float32
    function.__name__ = function.__qualname__ = name
    function.__module__ = (derivative or compute).__module__  # the table's that it stands in
    function.__doc__ = f"{doc}, elementwise."
    return function


def by_scipy(name: str) -> Callable[[Any, Array], Array]:
    """SciPy's function ``name`` as a row's array code; 16-bit floats are computed in float32."""

    def compute(xp: Any, x: Array) -> Array:
        wide = x.astype(accumulator(x.dtype), copy=False)
        return type2backend[type(x)].special(name)(wide).astype(x.dtype, copy=False)

    return compute


def _sigmoid(xp: Any, x: Array) -> Array:
    # Where e⁻ˣ overflows, 1 / inf is the 0 that it should be; in float16 it would do so too soon.
    y = xp.asarray(xp.negative(x.astype(accumulator(x.dtype), copy=False)))
    xp.exp(y, out=y)
    y += 1
    return xp.divide(1, y, out=y).astype(x.dtype, copy=False)


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
    return xp.rint(x) if x.dtype.kind in FLOATING else x.copy()


_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)

# name, formula, NumPy's or CuPy's way, dx from dy and x or y
neg: Unary = unary("neg", "-x", _negative, lambda dy: -dy, integers=True)
abs = unary(
    "abs", "The absolute value |x|", lambda xp, x: xp.abs(x), lambda dy, x: dy * sign(x),
    integers=True, refuses="b",
)  # fmt: skip
sign = unary("sign", "-1, 0 or 1", _sign, _zero, integers=True)
square = unary("square", "x²", _square, lambda dy, x: dy * 2 * x, integers=True)
exp = unary("exp", "eˣ", lambda xp, x: xp.exp(x), lambda dy, y: dy * y)
exp2 = unary("exp2", "2ˣ", lambda xp, x: xp.exp2(x), lambda dy, y: dy * y * math.log(2))
expm1 = unary("expm1", "eˣ - 1", lambda xp, x: xp.expm1(x), lambda dy, y: dy * (y + 1))
log = unary("log", "The natural logarithm ln x", lambda xp, x: xp.log(x), lambda dy, x: dy / x)
log2 = unary("log2", "log₂ x", lambda xp, x: xp.log2(x), lambda dy, x: dy / (x * math.log(2)))
log10 = unary("log10", "log₁₀ x", lambda xp, x: xp.log10(x), lambda dy, x: dy / (x * math.log(10)))
log1p = unary("log1p", "ln(1 + x)", lambda xp, x: xp.log1p(x), lambda dy, x: dy / (x + 1))
sqrt = unary("sqrt", "√x", lambda xp, x: xp.sqrt(x), lambda dy, y: dy / (2 * y))
rsqrt = unary("rsqrt", "1/√x", lambda xp, x: 1 / xp.sqrt(x), lambda dy, y: dy * y * y * y * -0.5)
reciprocal = unary("reciprocal", "1/x", lambda xp, x: 1 / x, lambda dy, y: -dy * y * y)
sin = unary("sin", "sin x", lambda xp, x: xp.sin(x), lambda dy, x: dy * cos(x))
cos = unary("cos", "cos x", lambda xp, x: xp.cos(x), lambda dy, x: -dy * sin(x))
tan = unary("tan", "tan x", lambda xp, x: xp.tan(x), lambda dy, y: dy * (y * y + 1))
asin = unary("asin", "arcsin x", lambda xp, x: xp.arcsin(x), lambda dy, x: dy * rsqrt(1 - x * x))
acos = unary("acos", "arccos x", lambda xp, x: xp.arccos(x), lambda dy, x: -dy * rsqrt(1 - x * x))
atan = unary("atan", "arctan x", lambda xp, x: xp.arctan(x), lambda dy, x: dy / (x * x + 1))
sinh = unary("sinh", "sinh x", lambda xp, x: xp.sinh(x), lambda dy, x: dy * cosh(x))
cosh = unary("cosh", "cosh x", lambda xp, x: xp.cosh(x), lambda dy, x: dy * sinh(x))
tanh = unary("tanh", "tanh x", lambda xp, x: xp.tanh(x), lambda dy, y: dy * (1 - y * y))
sigmoid = unary("sigmoid", "1 / (1 + e⁻ˣ)", _sigmoid, lambda dy, y: dy * y * (1 - y))
erf = unary(
    "erf", "The error function 2/√π ∫₀ˣ exp(-t²) dt", by_scipy("erf"),
    lambda dy, x: dy * exp(-x * x) * _TWO_OVER_ROOT_PI,
)  # fmt: skip
relu = unary("relu", "max(x, 0)", _relu, lambda dy, y: ReluInput.apply(dy, y), integers=True)
_whole: dict[str, Any] = {"integers": True, "refuses": "b"}
floor = unary("floor", "The largest integer <= x", lambda xp, x: xp.floor(x), _zero, **_whole)
ceil = unary("ceil", "The smallest integer >= x", lambda xp, x: xp.ceil(x), _zero, **_whole)
trunc = unary("trunc", "x without its fraction", lambda xp, x: xp.trunc(x), _zero, **_whole)
_nearest = unary("round", "The nearest integer", _round, _zero, **_whole)
isnan = unary("isnan", "Whether x is NaN", lambda xp, x: xp.isnan(x), integers=True)
isinf = unary("isinf", "Whether x is infinite", lambda xp, x: xp.isinf(x), integers=True)
isfinite = unary("isfinite", "Whether x is finite", lambda xp, x: xp.isfinite(x), integers=True)
logical_not = unary("logical_not", "x == 0", lambda xp, x: xp.logical_not(x), integers=True)


class ReluInput(Op, widens=False):
    """dx of dy and y; as in PyTorch, NaN hands its gradient on."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, y: Tensor) -> Array:
        ctx.save_for_backward(None, y)
        return type2backend[type(y.data)].relu_input(dy.data, y.data)

    @staticmethod
    def backward(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
        return ReluInput.apply(ddx, ctx.saved_tensors[1]), None


class Masked(Pointwise, widens=False):
    """``x`` where ``mask``, else exactly 0 (also for NaN and infinity)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor) -> Array:
        ctx.save_for_backward(None, mask)
        return type2backend[type(x.data)].masked(x.data, mask.data)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Masked.apply(dy, ctx.saved_tensors[1]), None


@extended
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number of ``decimals`` decimals, ties to the even one, elementwise."""
    if not decimals:
        return _nearest(input)
    if input.data.dtype.kind not in FLOATING:
        raise not_implemented("round_decimals", input.data)
    return _nearest(input * 10.0**decimals) / 10.0**decimals


def _frac(xp: Any, x: Array) -> Array:
    return x - xp.trunc(x)


def _sinc(xp: Any, x: Array) -> Array:
    return xp.sinc(x.astype(accumulator(x.dtype), copy=False)).astype(x.dtype, copy=False)


def _sinc_slope(dy: Tensor, x: Tensor) -> Tensor:
    scaled = x * math.pi
    slope = (cos(scaled) * scaled - sin(scaled)) / (scaled * x)
    return Masked.apply(dy * slope, x != 0)


def _lgamma(xp: Any, x: Array) -> Array:
    return xp.where(x == -xp.inf, x.dtype.type(xp.inf), by_scipy("gammaln")(xp, x))


asinh = unary("asinh", "arsinh x", lambda xp, x: xp.arcsinh(x), lambda dy, x: dy * rsqrt(x * x + 1))
acosh = unary("acosh", "arcosh x", lambda xp, x: xp.arccosh(x), lambda dy, x: dy * rsqrt(x * x - 1))
atanh = unary("atanh", "artanh x", lambda xp, x: xp.arctanh(x), lambda dy, x: dy / (1 - x * x))
sinc = unary("sinc", "sin(πx) / πx", _sinc, _sinc_slope)
erfc = unary(
    "erfc", "1 - erf x", by_scipy("erfc"), lambda dy, x: dy * exp(-x * x) * -_TWO_OVER_ROOT_PI
)
erfinv = unary(
    "erfinv", "The x whose erf it is", by_scipy("erfinv"),
    lambda dy, y: dy * exp(y * y) * (1 / _TWO_OVER_ROOT_PI),
)  # fmt: skip
lgamma = unary("lgamma", "ln |Γ(x)|", _lgamma, lambda dy, x: dy * digamma(x))
deg2rad = unary(
    "deg2rad", "Degrees to radians", lambda xp, x: x * (math.pi / 180),
    lambda dy: dy * (math.pi / 180),
)  # fmt: skip
rad2deg = unary(
    "rad2deg", "Radians to degrees", lambda xp, x: x * (180 / math.pi),
    lambda dy: dy * (180 / math.pi),
)  # fmt: skip
frac = unary("frac", "The fraction x - trunc x", _frac, lambda dy: dy, integers=True, refuses="iub")
signbit = unary(
    "signbit", "Whether the sign is negative, of -0 too",
    lambda xp, x: xp.signbit(x) if x.dtype.kind in FLOATING else x < 0, integers=True,
)  # fmt: skip
isneginf = unary("isneginf", "Whether x is -∞", lambda xp, x: x == -xp.inf, integers=True)
isposinf = unary("isposinf", "Whether x is +∞", lambda xp, x: x == xp.inf, integers=True)
isreal = unary("isreal", "Always true", lambda xp, x: xp.ones(x.shape, bool), integers=True)
bitwise_not = unary("bitwise_not", "~x", lambda xp, x: xp.invert(x), integers=True, refuses="f")


def positive(input: Tensor) -> Tensor:
    """``input`` itself. A bool tensor raises RuntimeError."""
    if input.data.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


class Polygamma(Op):
    """The ``n``-th derivative of the digamma function."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: int) -> Array:
        ctx.n = n
        ctx.save_for_backward(x)
        data = float_array(x)
        wide = data.astype(accumulator(data.dtype), copy=False)
        backend = type2backend[type(data)]
        xp = backend.xp
        # CuPy's polygamma takes no number for n.
        order = xp.full_like(wide, n)
        y = backend.special("polygamma")(order, wide) if n else backend.special("psi")(wide)
        # At 0 the two sides disagree; PyTorch takes the side of the zero's sign.
        if not n:
            y = xp.where(wide == 0, -xp.copysign(xp.inf, wide), y)
        return y.astype(data.dtype, copy=False)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        return dy * Polygamma.apply(x, ctx.n + 1), None


@extended
def digamma(input: Tensor) -> Tensor:
    """The derivative of ``lgamma``, elementwise."""
    need_tensor("digamma", input)
    return Polygamma.apply(input, 0)


@extended
def polygamma(n: int, input: Tensor) -> Tensor:
    """The ``n``-th derivative of ``digamma``, elementwise. A negative ``n`` raises RuntimeError."""
    if not isinstance(n, int):
        kind = type(n).__name__
        raise TypeError(f"polygamma(): argument 'n' (position 1) must be int, not {kind}")
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    need_tensor("polygamma", input, "input", 2)
    return Polygamma.apply(input, n)


class NanToNum(Op):
    """NaN and infinities replaced; the gradient flows where nothing was."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: tuple[float, ...]) -> Array:
        xp, data = xp_of(x), x.data
        nan, top, bottom = values
        ctx.save_for_backward(xp.isfinite(data))
        kind = data.dtype.type
        y = xp.where(xp.isnan(data), kind(nan), data)
        y = xp.where(data == xp.inf, kind(top), y)
        return xp.where(data == -xp.inf, kind(bottom), y)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return Masked.apply(dy, ctx.saved_tensors[0]), None


@extended
def nan_to_num(
    input: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """``input`` with NaN as ``nan`` (0), ±∞ as ``posinf``, ``neginf`` (the dtype's limits)."""
    need_tensor("nan_to_num", input)
    if input._data.dtype.kind not in FLOATING:
        return input.clone()
    limit = finfo(dtype_of(input)).max
    given = zip((nan, posinf, neginf), (0.0, limit, -limit), strict=True)
    return NanToNum.apply(input, tuple(default if v is None else v for v, default in given))


# PyTorch's other names.
absolute, negative, fix, sgn = abs, neg, trunc, sign
arccos, arcsin, arctan = acos, asin, atan
arccosh, arcsinh, arctanh = acosh, asinh, atanh
