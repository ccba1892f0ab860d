"""What is done to tensors: the operations of ``ops`` as operators and methods, a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy

from gpunn import linalg, matrices
from gpunn.autograd.variable import Variable, wrap
from gpunn.ops import (
    arithmetic,
    binary,
    comparison,
    contraction,
    conversion,
    gathering,
    histograms,
    indexing,
    joining,
    order,
    parts,
    pointwise,
    questions,
    rearrange,
    reduction,
    scans,
    scattering,
    searching,
    special,
    stacking,
    statistics,
    sums_of_products,
    ternary,
    windows,
)
from gpunn.ops import matmul as products  # inside the class these names mean methods
from gpunn.ops import shape as shapes
from gpunn.ops import softmax as softmaxes
from gpunn.ops.calling import checked
from gpunn.values import Values

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Operand: TypeAlias = "Tensor | bool | int | float"
_OPERANDS = (Variable, int, float, numpy.number, numpy.bool_)


def _operator(
    apply: Callable[..., Any], swap: bool = False, numbers: bool = True
) -> Callable[[Tensor, Any], Tensor]:
    """A binary operator; NotImplemented, as Python wants it, for what is no operand."""
    kinds = _OPERANDS if numbers else Variable

    def operator(self: Tensor, other: Any) -> Any:
        if not isinstance(other, kinds):
            if not isinstance(other, numpy.ndarray):
                return NotImplemented
            other = wrap(other)
        return apply(other, self) if swap else apply(self, other)

    return operator


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The in-place form of an operation: the same value and gradient, written into ``self``."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._write(function, *args, **kwargs)

    name = function.__name__
    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"As ``{name}``, in place."
    return method


class Methods(Values):
    """``x.sum()`` is ``gpunn.sum(x)``; ``x.add_(y)`` writes ``gpunn.add(x, y)`` into ``x``."""

    if TYPE_CHECKING:  # how a new value is written: the tensor's business

        def _write(self, function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor: ...

    # Operators ------------------------------------------------------------------------------

    __add__ = _operator(arithmetic.Add.apply)
    __radd__ = _operator(arithmetic.Add.apply, swap=True)
    __sub__ = _operator(arithmetic.Sub.apply)
    __rsub__ = _operator(arithmetic.Sub.apply, swap=True)
    __mul__ = _operator(arithmetic.Mul.apply)
    __rmul__ = _operator(arithmetic.Mul.apply, swap=True)
    __truediv__ = _operator(arithmetic.Div.apply)
    __rtruediv__ = _operator(arithmetic.Div.apply, swap=True)
    __floordiv__ = _operator(arithmetic.floor_divide)
    __rfloordiv__ = _operator(arithmetic.floor_divide, swap=True)
    __mod__ = _operator(arithmetic.remainder)
    __rmod__ = _operator(arithmetic.remainder, swap=True)
    __pow__ = _operator(arithmetic.pow)
    __rpow__ = _operator(arithmetic.pow, swap=True)
    __matmul__ = _operator(products.matmul, numbers=False)
    __rmatmul__ = _operator(products.matmul, swap=True, numbers=False)
    if TYPE_CHECKING:  # elementwise, which object's do not foresee

        def __eq__(self, other: Any) -> Any: ...
        def __ne__(self, other: Any) -> Any: ...

    else:
        __eq__ = _operator(comparison.eq)
        __ne__ = _operator(comparison.ne)

    def __hash__(self) -> int:  # which __eq__ has taken away
        return id(self)

    __lt__ = _operator(comparison.lt)
    __le__ = _operator(comparison.le)
    __gt__ = _operator(comparison.gt)
    __ge__ = _operator(comparison.ge)
    __and__ = _operator(comparison.bitwise_and)
    __rand__ = _operator(comparison.bitwise_and, swap=True)
    __or__ = _operator(comparison.bitwise_or)
    __ror__ = _operator(comparison.bitwise_or, swap=True)
    __xor__ = _operator(comparison.bitwise_xor)
    __rxor__ = _operator(comparison.bitwise_xor, swap=True)
    __lshift__ = _operator(comparison.bitwise_left_shift)
    __rlshift__ = _operator(comparison.bitwise_left_shift, swap=True)
    __rshift__ = _operator(comparison.bitwise_right_shift)
    __rrshift__ = _operator(comparison.bitwise_right_shift, swap=True)
    __invert__ = pointwise.bitwise_not
    __neg__ = pointwise.neg
    __abs__ = pointwise.abs
    __getitem__ = indexing.getitem

    __pos__ = pointwise.positive

    # In place -------------------------------------------------------------------------------

    add_ = _in_place(arithmetic.add)
    sub_ = _in_place(arithmetic.sub)
    mul_ = _in_place(arithmetic.mul)
    div_ = _in_place(arithmetic.div)
    pow_ = _in_place(arithmetic.pow)
    floor_divide_ = _in_place(arithmetic.floor_divide)
    remainder_ = _in_place(arithmetic.remainder)
    neg_ = _in_place(pointwise.neg)
    abs_ = _in_place(pointwise.abs)
    exp_ = _in_place(pointwise.exp)
    log_ = _in_place(pointwise.log)
    sqrt_ = _in_place(pointwise.sqrt)
    rsqrt_ = _in_place(pointwise.rsqrt)
    square_ = _in_place(pointwise.square)
    reciprocal_ = _in_place(pointwise.reciprocal)
    tanh_ = _in_place(pointwise.tanh)
    sigmoid_ = _in_place(pointwise.sigmoid)
    relu_ = _in_place(pointwise.relu)
    round_ = _in_place(pointwise.round)
    floor_ = _in_place(pointwise.floor)
    ceil_ = _in_place(pointwise.ceil)
    clamp_ = _in_place(arithmetic.clamp)
    masked_fill_ = _in_place(gathering.masked_fill)
    scatter_ = _in_place(scattering.scatter)
    scatter_add_ = _in_place(gathering.scatter_add)
    index_add_ = _in_place(gathering.index_add)
    index_put_ = _in_place(gathering.index_put)

    acos_ = _in_place(pointwise.acos)
    asin_ = _in_place(pointwise.asin)
    atan_ = _in_place(pointwise.atan)
    cos_ = _in_place(pointwise.cos)
    cosh_ = _in_place(pointwise.cosh)
    sin_ = _in_place(pointwise.sin)
    sinh_ = _in_place(pointwise.sinh)
    tan_ = _in_place(pointwise.tan)
    erf_ = _in_place(pointwise.erf)
    exp2_ = _in_place(pointwise.exp2)
    expm1_ = _in_place(pointwise.expm1)
    log10_ = _in_place(pointwise.log10)
    log1p_ = _in_place(pointwise.log1p)
    log2_ = _in_place(pointwise.log2)
    sign_ = _in_place(pointwise.sign)
    trunc_ = _in_place(pointwise.trunc)
    logical_not_ = _in_place(pointwise.logical_not)
    bitwise_not_ = _in_place(pointwise.bitwise_not)
    fmod_ = _in_place(arithmetic.fmod)
    cumsum_ = _in_place(reduction.cumsum)
    cumprod_ = _in_place(reduction.cumprod)
    tril_ = _in_place(joining.tril)
    triu_ = _in_place(joining.triu)
    index_fill_ = _in_place(gathering.index_fill)
    addmm_ = _in_place(sums_of_products.addmm)

    __iadd__ = _operator(add_)
    __isub__ = _operator(sub_)
    __imul__ = _operator(mul_)
    __itruediv__ = _operator(div_)
    __ifloordiv__ = _operator(floor_divide_)
    __imod__ = _operator(remainder_)
    __ipow__ = _operator(pow_)
    __iand__ = _operator(_in_place(comparison.bitwise_and))
    __ior__ = _operator(_in_place(comparison.bitwise_or))
    __ixor__ = _operator(_in_place(comparison.bitwise_xor))
    __ilshift__ = _operator(_in_place(comparison.bitwise_left_shift))
    __irshift__ = _operator(_in_place(comparison.bitwise_right_shift))

    hypot_ = _in_place(binary.hypot)
    copysign_ = _in_place(binary.copysign)
    xlogy_ = _in_place(binary.xlogy)
    nextafter_ = _in_place(binary.nextafter)
    heaviside_ = _in_place(binary.heaviside)
    gcd_ = _in_place(binary.gcd)
    lcm_ = _in_place(binary.lcm)
    ldexp_ = _in_place(binary.ldexp)

    asinh_ = _in_place(pointwise.asinh)
    acosh_ = _in_place(pointwise.acosh)
    atanh_ = _in_place(pointwise.atanh)
    sinc_ = _in_place(pointwise.sinc)
    erfc_ = _in_place(pointwise.erfc)
    erfinv_ = _in_place(pointwise.erfinv)
    lgamma_ = _in_place(pointwise.lgamma)
    deg2rad_ = _in_place(pointwise.deg2rad)
    rad2deg_ = _in_place(pointwise.rad2deg)
    frac_ = _in_place(pointwise.frac)
    digamma_ = _in_place(pointwise.digamma)
    nan_to_num_ = _in_place(pointwise.nan_to_num)
    absolute_ = _in_place(pointwise.absolute)
    negative_ = _in_place(pointwise.negative)
    fix_ = _in_place(pointwise.fix)
    sgn_ = _in_place(pointwise.sgn)
    arccos_ = _in_place(pointwise.arccos)
    arcsin_ = _in_place(pointwise.arcsin)
    arctan_ = _in_place(pointwise.arctan)
    arccosh_ = _in_place(pointwise.arccosh)
    arcsinh_ = _in_place(pointwise.arcsinh)
    arctanh_ = _in_place(pointwise.arctanh)

    logit_ = _in_place(arithmetic.logit)
    subtract_ = _in_place(arithmetic.subtract)
    multiply_ = _in_place(arithmetic.multiply)
    divide_ = _in_place(arithmetic.divide)
    true_divide_ = _in_place(arithmetic.true_divide)
    clip_ = _in_place(arithmetic.clip)
    arctan2_ = _in_place(arithmetic.arctan2)
    clamp_min_ = _in_place(arithmetic.clamp_min)
    clamp_max_ = _in_place(arithmetic.clamp_max)
    atan2_ = _in_place(arithmetic.atan2)

    greater_ = _in_place(comparison.greater)
    greater_equal_ = _in_place(comparison.greater_equal)
    less_ = _in_place(comparison.less)
    less_equal_ = _in_place(comparison.less_equal)
    not_equal_ = _in_place(comparison.not_equal)
    eq_ = _in_place(comparison.eq)
    ne_ = _in_place(comparison.ne)
    lt_ = _in_place(comparison.lt)
    le_ = _in_place(comparison.le)
    gt_ = _in_place(comparison.gt)
    ge_ = _in_place(comparison.ge)
    logical_and_ = _in_place(comparison.logical_and)
    logical_or_ = _in_place(comparison.logical_or)
    logical_xor_ = _in_place(comparison.logical_xor)
    bitwise_and_ = _in_place(comparison.bitwise_and)
    bitwise_or_ = _in_place(comparison.bitwise_or)
    bitwise_xor_ = _in_place(comparison.bitwise_xor)
    bitwise_left_shift_ = _in_place(comparison.bitwise_left_shift)
    bitwise_right_shift_ = _in_place(comparison.bitwise_right_shift)

    put_ = _in_place(checked(rearrange.put))

    # Methods --------------------------------------------------------------------------------

    clone = conversion.clone
    detach = conversion.detach
    to = conversion.to
    type_as_numpy = conversion.type_as_numpy
    pin_memory = conversion.pin_memory
    is_pinned = conversion.is_pinned
    diag = stacking.diag
    diag_embed = stacking.diag_embed
    trace = stacking.trace
    repeat_interleave = stacking.repeat_interleave
    vdot = contraction.vdot
    ger = contraction.ger
    addmv = sums_of_products.addmv
    addr = sums_of_products.addr
    baddbmm = sums_of_products.baddbmm
    addbmm = sums_of_products.addbmm
    inner = contraction.inner
    kron = contraction.kron
    cross = contraction.cross
    addmv_ = _in_place(sums_of_products.addmv)
    addr_ = _in_place(sums_of_products.addr)
    baddbmm_ = _in_place(sums_of_products.baddbmm)
    addbmm_ = _in_place(sums_of_products.addbmm)
    aminmax = statistics.aminmax
    cov = statistics.cov
    corrcoef = statistics.corrcoef
    dist = statistics.dist
    renorm = statistics.renorm
    nansum = statistics.nansum
    nanmean = statistics.nanmean
    nanmedian = statistics.nanmedian
    kthvalue = statistics.kthvalue
    mode = statistics.mode
    quantile = statistics.quantile
    nanquantile = statistics.nanquantile
    bincount = histograms.bincount
    histc = histograms.histc
    histogram = histograms.histogram
    renorm_ = _in_place(statistics.renorm)
    cummax = scans.cummax
    cummin = scans.cummin
    logcumsumexp = scans.logcumsumexp
    diff = scans.diff
    addcmul = ternary.addcmul
    addcdiv = ternary.addcdiv
    lerp = ternary.lerp
    addcmul_ = _in_place(ternary.addcmul)
    addcdiv_ = _in_place(ternary.addcdiv)
    lerp_ = _in_place(ternary.lerp)
    unique = searching.unique
    unique_consecutive = searching.unique_consecutive
    msort = searching.msort
    isin = searching.isin
    scatter_reduce = scattering.scatter_reduce
    index_reduce = scattering.index_reduce
    index_copy = scattering.index_copy
    masked_scatter = scattering.masked_scatter
    scatter_reduce_ = _in_place(scattering.scatter_reduce)
    index_reduce_ = _in_place(scattering.index_reduce)
    index_copy_ = _in_place(scattering.index_copy)
    masked_scatter_ = _in_place(scattering.masked_scatter)
    is_complex = questions.is_complex
    is_conj = questions.is_conj
    is_neg = questions.is_neg
    is_signed = questions.is_signed
    is_inference = questions.is_inference
    is_distributed = questions.is_distributed
    is_nonzero = questions.is_nonzero
    is_same_size = checked(questions.is_same_size)
    conj = questions.conj
    resolve_conj = questions.resolve_conj
    resolve_neg = questions.resolve_neg
    conj_physical = questions.conj_physical
    conj_physical_ = _in_place(questions.conj_physical)
    unfold = windows.unfold
    split_with_sizes = joining.split_with_sizes
    unsafe_split = joining.unsafe_split
    unsafe_split_with_sizes = joining.unsafe_split_with_sizes
    unsafe_chunk = joining.unsafe_chunk
    nonzero_static = searching.nonzero_static
    frexp = parts.frexp
    angle = parts.angle
    adjoint = parts.adjoint
    ndimension = Values.dim
    det = linalg.det
    slogdet = linalg.slogdet
    logdet = linalg.logdet
    inverse = linalg.inverse
    pinverse = linalg.pinverse
    matrix_power = linalg.matrix_power
    matrix_exp = linalg.matrix_exp
    cholesky = matrices.cholesky
    cholesky_inverse = matrices.cholesky_inverse
    cholesky_solve = checked(matrices.cholesky_solve)
    qr = matrices.qr
    svd = matrices.svd
    triangular_solve = checked(matrices.triangular_solve)
    add = arithmetic.add
    sub = arithmetic.sub
    mul = arithmetic.mul
    div = arithmetic.div
    floor_divide = arithmetic.floor_divide
    remainder = arithmetic.remainder
    fmod = arithmetic.fmod
    pow = arithmetic.pow
    maximum = arithmetic.maximum
    minimum = arithmetic.minimum
    clamp = arithmetic.clamp
    neg = pointwise.neg
    abs = pointwise.abs
    sign = pointwise.sign
    square = pointwise.square
    exp = pointwise.exp
    exp2 = pointwise.exp2
    expm1 = pointwise.expm1
    log = pointwise.log
    log2 = pointwise.log2
    log10 = pointwise.log10
    log1p = pointwise.log1p
    sqrt = pointwise.sqrt
    rsqrt = pointwise.rsqrt
    reciprocal = pointwise.reciprocal
    sin = pointwise.sin
    cos = pointwise.cos
    tan = pointwise.tan
    asin = pointwise.asin
    acos = pointwise.acos
    atan = pointwise.atan
    sinh = pointwise.sinh
    cosh = pointwise.cosh
    tanh = pointwise.tanh
    sigmoid = pointwise.sigmoid
    softmax = softmaxes.softmax
    log_softmax = softmaxes.log_softmax
    erf = pointwise.erf
    relu = pointwise.relu
    floor = pointwise.floor
    ceil = pointwise.ceil
    trunc = pointwise.trunc
    round = pointwise.round
    isnan = pointwise.isnan
    isinf = pointwise.isinf
    isfinite = pointwise.isfinite
    logical_not = pointwise.logical_not
    logical_and = comparison.logical_and
    logical_or = comparison.logical_or
    logical_xor = comparison.logical_xor
    bitwise_and = comparison.bitwise_and
    bitwise_or = comparison.bitwise_or
    bitwise_xor = comparison.bitwise_xor
    bitwise_not = pointwise.bitwise_not
    eq = comparison.eq
    ne = comparison.ne
    lt = comparison.lt
    le = comparison.le
    gt = comparison.gt
    ge = comparison.ge
    isclose = comparison.isclose
    allclose = comparison.allclose
    equal = comparison.equal
    sum = reduction.sum
    mean = reduction.mean
    prod = reduction.prod
    var = reduction.var
    std = reduction.std
    amax = reduction.amax
    amin = reduction.amin
    max = order.max
    min = order.min
    argmax = order.argmax
    argmin = order.argmin
    all = reduction.all
    any = reduction.any
    count_nonzero = reduction.count_nonzero
    cumsum = reduction.cumsum
    logsumexp = reduction.logsumexp
    norm = reduction.norm
    sort = order.sort
    argsort = order.argsort
    topk = order.topk
    reshape = shapes.reshape
    view = shapes.view
    permute = shapes.permute
    transpose = shapes.transpose
    swapaxes = shapes.transpose
    swapdims = shapes.transpose
    t = shapes.t
    movedim = shapes.movedim
    squeeze = shapes.squeeze
    unsqueeze = shapes.unsqueeze
    expand = shapes.expand
    expand_as = checked(shapes.expand_as)
    broadcast_to = shapes.broadcast_to
    sum_to_size = shapes.sum_to_size
    flatten = shapes.flatten
    unflatten = shapes.unflatten
    ravel = shapes.ravel
    narrow = joining.narrow
    select = joining.select
    chunk = joining.chunk
    unbind = joining.unbind
    flip = joining.flip
    roll = joining.roll
    repeat = joining.repeat
    tile = joining.tile
    tril = joining.tril
    triu = joining.triu
    diagonal = shapes.diagonal
    gather = gathering.gather
    scatter = scattering.scatter
    scatter_add = gathering.scatter_add
    index_select = gathering.index_select
    index_add = gathering.index_add
    index_put = gathering.index_put
    take_along_dim = gathering.take_along_dim
    masked_fill = gathering.masked_fill
    index_fill = gathering.index_fill
    masked_select = gathering.masked_select
    nonzero = gathering.nonzero
    matmul = products.matmul
    mm = products.mm
    bmm = products.bmm
    dot = products.dot
    mv = products.mv
    addmm = sums_of_products.addmm
    outer = products.outer
    multiply = arithmetic.mul
    divide = arithmetic.div
    absolute = pointwise.abs
    subtract = arithmetic.sub
    clip = arithmetic.clamp
    atan2 = arithmetic.atan2
    bitwise_left_shift = comparison.bitwise_left_shift
    bitwise_right_shift = comparison.bitwise_right_shift
    median = order.median
    cumprod = reduction.cumprod
    clamp_min = arithmetic.clamp_min
    clamp_max = arithmetic.clamp_max
    positive = pointwise.positive
    hypot = binary.hypot
    copysign = binary.copysign
    fmax = binary.fmax
    fmin = binary.fmin
    logaddexp = binary.logaddexp
    logaddexp2 = binary.logaddexp2
    xlogy = binary.xlogy
    nextafter = binary.nextafter
    heaviside = binary.heaviside
    gcd = binary.gcd
    lcm = binary.lcm
    ldexp = binary.ldexp
    float_power = binary.float_power
    asinh = pointwise.asinh
    acosh = pointwise.acosh
    atanh = pointwise.atanh
    sinc = pointwise.sinc
    erfc = pointwise.erfc
    erfinv = pointwise.erfinv
    lgamma = pointwise.lgamma
    deg2rad = pointwise.deg2rad
    rad2deg = pointwise.rad2deg
    frac = pointwise.frac
    signbit = pointwise.signbit
    isneginf = pointwise.isneginf
    isposinf = pointwise.isposinf
    isreal = pointwise.isreal
    digamma = pointwise.digamma
    i0 = special.i0
    igamma = special.igamma
    igammac = special.igammac
    mvlgamma = special.multigammaln
    i0_ = _in_place(special.i0)
    igamma_ = _in_place(special.igamma)
    igammac_ = _in_place(special.igammac)
    mvlgamma_ = _in_place(special.multigammaln)

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """``gpunn.split``, whose argument has another name here, as in PyTorch."""
        return joining.split(self, split_size, dim)  # type: ignore[arg-type]

    def polygamma(self, n: int) -> Tensor:
        """The ``n``-th derivative of ``digamma``, elementwise."""
        return pointwise.polygamma(n, self)  # type: ignore[arg-type]

    polygamma_ = _in_place(polygamma)
    nan_to_num = pointwise.nan_to_num
    negative = pointwise.negative
    fix = pointwise.fix
    sgn = pointwise.sgn
    arccos = pointwise.arccos
    arcsin = pointwise.arcsin
    arctan = pointwise.arctan
    arccosh = pointwise.arccosh
    arcsinh = pointwise.arcsinh
    arctanh = pointwise.arctanh
    logit = arithmetic.logit
    true_divide = arithmetic.true_divide
    arctan2 = arithmetic.arctan2
    greater = comparison.greater
    greater_equal = comparison.greater_equal
    less = comparison.less
    less_equal = comparison.less_equal
    not_equal = comparison.not_equal
    fliplr = rearrange.fliplr
    flipud = rearrange.flipud
    rot90 = rearrange.rot90
    tensor_split = rearrange.tensor_split
    hsplit = rearrange.hsplit
    vsplit = rearrange.vsplit
    dsplit = rearrange.dsplit
    diagflat = rearrange.diagflat
    diagonal_scatter = checked(rearrange.diagonal_scatter)
    select_scatter = rearrange.select_scatter
    slice_scatter = rearrange.slice_scatter
    as_strided = windows.as_strided
    argwhere = rearrange.argwhere
    take = checked(rearrange.take)
    put = checked(rearrange.put)
    moveaxis = shapes.moveaxis
