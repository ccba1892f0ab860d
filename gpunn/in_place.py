"""What changes a tensor in place: ``x.add_(y)`` and ``x += y``, a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gpunn.operators import Operators, operator_of
from gpunn.ops import (
    arithmetic,
    binary,
    choice,
    comparison,
    gathering,
    joining,
    pointwise,
    questions,
    rearrange,
    reduction,
    scattering,
    special,
    statistics,
    sums_of_products,
    ternary,
)
from gpunn.ops.calling import checked

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The in-place form of an operation: the same value and gradient, written into ``self``."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._write(function, *args, **kwargs)

    name = function.__name__
    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"As ``{name}``, in place."
    return method


class InPlace(Operators):
    """``x.add_(y)`` writes ``gpunn.add(x, y)`` into ``x``."""

    if TYPE_CHECKING:  # how a new value is written: the tensor's business

        def _write(self, function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor: ...

    abs_ = in_place(pointwise.abs)
    absolute_ = in_place(pointwise.absolute)
    acos_ = in_place(pointwise.acos)
    acosh_ = in_place(pointwise.acosh)
    add_ = in_place(arithmetic.add)
    addbmm_ = in_place(sums_of_products.addbmm)
    addcdiv_ = in_place(ternary.addcdiv)
    addcmul_ = in_place(ternary.addcmul)
    addmm_ = in_place(sums_of_products.addmm)
    addmv_ = in_place(sums_of_products.addmv)
    addr_ = in_place(sums_of_products.addr)
    arccos_ = in_place(pointwise.arccos)
    arccosh_ = in_place(pointwise.arccosh)
    arcsin_ = in_place(pointwise.arcsin)
    arcsinh_ = in_place(pointwise.arcsinh)
    arctan2_ = in_place(arithmetic.arctan2)
    arctan_ = in_place(pointwise.arctan)
    arctanh_ = in_place(pointwise.arctanh)
    asin_ = in_place(pointwise.asin)
    asinh_ = in_place(pointwise.asinh)
    atan2_ = in_place(arithmetic.atan2)
    atan_ = in_place(pointwise.atan)
    atanh_ = in_place(pointwise.atanh)
    baddbmm_ = in_place(sums_of_products.baddbmm)
    bitwise_and_ = in_place(comparison.bitwise_and)
    bitwise_left_shift_ = in_place(comparison.bitwise_left_shift)
    bitwise_not_ = in_place(pointwise.bitwise_not)
    bitwise_or_ = in_place(comparison.bitwise_or)
    bitwise_right_shift_ = in_place(comparison.bitwise_right_shift)
    bitwise_xor_ = in_place(comparison.bitwise_xor)
    ceil_ = in_place(pointwise.ceil)
    clamp_ = in_place(choice.clamp)
    clamp_max_ = in_place(choice.clamp_max)
    clamp_min_ = in_place(choice.clamp_min)
    clip_ = in_place(choice.clip)
    conj_physical_ = in_place(questions.conj_physical)
    copysign_ = in_place(binary.copysign)
    cos_ = in_place(pointwise.cos)
    cosh_ = in_place(pointwise.cosh)
    cumprod_ = in_place(reduction.cumprod)
    cumsum_ = in_place(reduction.cumsum)
    deg2rad_ = in_place(pointwise.deg2rad)
    digamma_ = in_place(pointwise.digamma)
    div_ = in_place(arithmetic.div)
    divide_ = in_place(arithmetic.divide)
    eq_ = in_place(comparison.eq)
    erf_ = in_place(pointwise.erf)
    erfc_ = in_place(pointwise.erfc)
    erfinv_ = in_place(pointwise.erfinv)
    exp2_ = in_place(pointwise.exp2)
    exp_ = in_place(pointwise.exp)
    expm1_ = in_place(pointwise.expm1)
    fix_ = in_place(pointwise.fix)
    floor_ = in_place(pointwise.floor)
    floor_divide_ = in_place(arithmetic.floor_divide)
    fmod_ = in_place(arithmetic.fmod)
    frac_ = in_place(pointwise.frac)
    gcd_ = in_place(binary.gcd)
    ge_ = in_place(comparison.ge)
    greater_ = in_place(comparison.greater)
    greater_equal_ = in_place(comparison.greater_equal)
    gt_ = in_place(comparison.gt)
    heaviside_ = in_place(binary.heaviside)
    hypot_ = in_place(binary.hypot)
    i0_ = in_place(special.i0)
    igamma_ = in_place(special.igamma)
    igammac_ = in_place(special.igammac)
    index_add_ = in_place(gathering.index_add)
    index_copy_ = in_place(scattering.index_copy)
    index_fill_ = in_place(gathering.index_fill)
    index_put_ = in_place(gathering.index_put)
    index_reduce_ = in_place(scattering.index_reduce)
    lcm_ = in_place(binary.lcm)
    ldexp_ = in_place(binary.ldexp)
    le_ = in_place(comparison.le)
    lerp_ = in_place(ternary.lerp)
    less_ = in_place(comparison.less)
    less_equal_ = in_place(comparison.less_equal)
    lgamma_ = in_place(pointwise.lgamma)
    log10_ = in_place(pointwise.log10)
    log1p_ = in_place(pointwise.log1p)
    log2_ = in_place(pointwise.log2)
    log_ = in_place(pointwise.log)
    logical_and_ = in_place(comparison.logical_and)
    logical_not_ = in_place(pointwise.logical_not)
    logical_or_ = in_place(comparison.logical_or)
    logical_xor_ = in_place(comparison.logical_xor)
    logit_ = in_place(special.logit)
    lt_ = in_place(comparison.lt)
    masked_fill_ = in_place(gathering.masked_fill)
    masked_scatter_ = in_place(scattering.masked_scatter)
    mul_ = in_place(arithmetic.mul)
    multiply_ = in_place(arithmetic.multiply)
    mvlgamma_ = in_place(special.multigammaln)
    nan_to_num_ = in_place(pointwise.nan_to_num)
    ne_ = in_place(comparison.ne)
    neg_ = in_place(pointwise.neg)
    negative_ = in_place(pointwise.negative)
    nextafter_ = in_place(binary.nextafter)
    not_equal_ = in_place(comparison.not_equal)
    pow_ = in_place(arithmetic.pow)
    put_ = in_place(checked(rearrange.put))
    rad2deg_ = in_place(pointwise.rad2deg)
    reciprocal_ = in_place(pointwise.reciprocal)
    relu_ = in_place(pointwise.relu)
    remainder_ = in_place(arithmetic.remainder)
    renorm_ = in_place(statistics.renorm)
    round_ = in_place(pointwise.round)
    rsqrt_ = in_place(pointwise.rsqrt)
    scatter_ = in_place(scattering.scatter)
    scatter_add_ = in_place(gathering.scatter_add)
    scatter_reduce_ = in_place(scattering.scatter_reduce)
    sgn_ = in_place(pointwise.sgn)
    sigmoid_ = in_place(pointwise.sigmoid)
    sign_ = in_place(pointwise.sign)
    sin_ = in_place(pointwise.sin)
    sinc_ = in_place(pointwise.sinc)
    sinh_ = in_place(pointwise.sinh)
    sqrt_ = in_place(pointwise.sqrt)
    square_ = in_place(pointwise.square)
    sub_ = in_place(arithmetic.sub)
    subtract_ = in_place(arithmetic.subtract)
    tan_ = in_place(pointwise.tan)
    tanh_ = in_place(pointwise.tanh)
    tril_ = in_place(joining.tril)
    triu_ = in_place(joining.triu)
    true_divide_ = in_place(arithmetic.true_divide)
    trunc_ = in_place(pointwise.trunc)
    xlogy_ = in_place(binary.xlogy)

    __iadd__ = operator_of(add_)
    __isub__ = operator_of(sub_)
    __imul__ = operator_of(mul_)
    __itruediv__ = operator_of(div_)
    __ifloordiv__ = operator_of(floor_divide_)
    __imod__ = operator_of(remainder_)
    __ipow__ = operator_of(pow_)
    __iand__ = operator_of(in_place(comparison.bitwise_and))
    __ior__ = operator_of(in_place(comparison.bitwise_or))
    __ixor__ = operator_of(in_place(comparison.bitwise_xor))
    __ilshift__ = operator_of(in_place(comparison.bitwise_left_shift))
    __irshift__ = operator_of(in_place(comparison.bitwise_right_shift))
