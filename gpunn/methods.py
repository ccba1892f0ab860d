"""What tensors are asked to do: the operations of ``ops`` as methods, a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn import linalg, matrices
from gpunn.in_place import InPlace, in_place
from gpunn.ops import (
    arithmetic,
    binary,
    choice,
    comparison,
    contraction,
    conversion,
    gathering,
    histograms,
    joining,
    order,
    parts,
    pointwise,
    questions,
    ranks,
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


class Methods(InPlace):
    """``x.sum()`` is ``gpunn.sum(x)``."""

    abs = pointwise.abs
    absolute = pointwise.abs
    acos = pointwise.acos
    acosh = pointwise.acosh
    add = arithmetic.add
    addbmm = sums_of_products.addbmm
    addcdiv = ternary.addcdiv
    addcmul = ternary.addcmul
    addmm = sums_of_products.addmm
    addmv = sums_of_products.addmv
    addr = sums_of_products.addr
    adjoint = parts.adjoint
    all = reduction.all
    allclose = comparison.allclose
    amax = reduction.amax
    amin = reduction.amin
    aminmax = statistics.aminmax
    angle = parts.angle
    any = reduction.any
    arccos = pointwise.arccos
    arccosh = pointwise.arccosh
    arcsin = pointwise.arcsin
    arcsinh = pointwise.arcsinh
    arctan = pointwise.arctan
    arctan2 = arithmetic.arctan2
    arctanh = pointwise.arctanh
    argmax = order.argmax
    argmin = order.argmin
    argsort = order.argsort
    argwhere = rearrange.argwhere
    as_strided = windows.as_strided
    asin = pointwise.asin
    asinh = pointwise.asinh
    atan = pointwise.atan
    atan2 = arithmetic.atan2
    atanh = pointwise.atanh
    baddbmm = sums_of_products.baddbmm
    bincount = histograms.bincount
    bitwise_and = comparison.bitwise_and
    bitwise_left_shift = comparison.bitwise_left_shift
    bitwise_not = pointwise.bitwise_not
    bitwise_or = comparison.bitwise_or
    bitwise_right_shift = comparison.bitwise_right_shift
    bitwise_xor = comparison.bitwise_xor
    bmm = products.bmm
    broadcast_to = shapes.broadcast_to
    ceil = pointwise.ceil
    cholesky = matrices.cholesky
    cholesky_inverse = matrices.cholesky_inverse
    cholesky_solve = checked(matrices.cholesky_solve)
    chunk = joining.chunk
    clamp = choice.clamp
    clamp_max = choice.clamp_max
    clamp_min = choice.clamp_min
    clip = choice.clamp
    clone = conversion.clone
    conj = questions.conj
    conj_physical = questions.conj_physical
    copysign = binary.copysign
    corrcoef = statistics.corrcoef
    cos = pointwise.cos
    cosh = pointwise.cosh
    count_nonzero = reduction.count_nonzero
    cov = statistics.cov
    cross = contraction.cross
    cummax = scans.cummax
    cummin = scans.cummin
    cumprod = reduction.cumprod
    cumsum = reduction.cumsum
    deg2rad = pointwise.deg2rad
    det = linalg.det
    detach = conversion.detach
    diag = stacking.diag
    diag_embed = stacking.diag_embed
    diagflat = rearrange.diagflat
    diagonal = shapes.diagonal
    diagonal_scatter = checked(rearrange.diagonal_scatter)
    diff = scans.diff
    digamma = pointwise.digamma
    dist = statistics.dist
    div = arithmetic.div
    divide = arithmetic.div
    dot = products.dot
    dsplit = rearrange.dsplit
    eq = comparison.eq
    equal = comparison.equal
    erf = pointwise.erf
    erfc = pointwise.erfc
    erfinv = pointwise.erfinv
    exp = pointwise.exp
    exp2 = pointwise.exp2
    expand = shapes.expand
    expand_as = checked(shapes.expand_as)
    expm1 = pointwise.expm1
    fix = pointwise.fix
    flatten = shapes.flatten
    flip = joining.flip
    fliplr = rearrange.fliplr
    flipud = rearrange.flipud
    float_power = binary.float_power
    floor = pointwise.floor
    floor_divide = arithmetic.floor_divide
    fmax = binary.fmax
    fmin = binary.fmin
    fmod = arithmetic.fmod
    frac = pointwise.frac
    frexp = parts.frexp
    gather = gathering.gather
    gcd = binary.gcd
    ge = comparison.ge
    ger = contraction.ger
    greater = comparison.greater
    greater_equal = comparison.greater_equal
    gt = comparison.gt
    heaviside = binary.heaviside
    histc = histograms.histc
    histogram = histograms.histogram
    hsplit = rearrange.hsplit
    hypot = binary.hypot
    i0 = special.i0
    igamma = special.igamma
    igammac = special.igammac
    index_add = gathering.index_add
    index_copy = scattering.index_copy
    index_fill = gathering.index_fill
    index_put = gathering.index_put
    index_reduce = scattering.index_reduce
    index_select = gathering.index_select
    inner = contraction.inner
    inverse = linalg.inverse
    is_complex = questions.is_complex
    is_conj = questions.is_conj
    is_distributed = questions.is_distributed
    is_inference = questions.is_inference
    is_neg = questions.is_neg
    is_nonzero = questions.is_nonzero
    is_pinned = conversion.is_pinned
    is_same_size = checked(questions.is_same_size)
    is_signed = questions.is_signed
    isclose = comparison.isclose
    isfinite = pointwise.isfinite
    isin = searching.isin
    isinf = pointwise.isinf
    isnan = pointwise.isnan
    isneginf = pointwise.isneginf
    isposinf = pointwise.isposinf
    isreal = pointwise.isreal
    kron = contraction.kron
    kthvalue = ranks.kthvalue
    lcm = binary.lcm
    ldexp = binary.ldexp
    le = comparison.le
    lerp = ternary.lerp
    less = comparison.less
    less_equal = comparison.less_equal
    lgamma = pointwise.lgamma
    log = pointwise.log
    log10 = pointwise.log10
    log1p = pointwise.log1p
    log2 = pointwise.log2
    log_softmax = softmaxes.log_softmax
    logaddexp = binary.logaddexp
    logaddexp2 = binary.logaddexp2
    logcumsumexp = scans.logcumsumexp
    logdet = linalg.logdet
    logical_and = comparison.logical_and
    logical_not = pointwise.logical_not
    logical_or = comparison.logical_or
    logical_xor = comparison.logical_xor
    logit = special.logit
    logsumexp = reduction.logsumexp
    lt = comparison.lt
    lu_solve = matrices.lu_solve
    masked_fill = gathering.masked_fill
    masked_scatter = scattering.masked_scatter
    masked_select = gathering.masked_select
    matmul = products.matmul
    matrix_exp = linalg.matrix_exp
    matrix_power = linalg.matrix_power
    max = order.max
    maximum = choice.maximum
    mean = reduction.mean
    median = order.median
    min = order.min
    minimum = choice.minimum
    mm = products.mm
    mode = ranks.mode
    moveaxis = shapes.moveaxis
    movedim = shapes.movedim
    msort = searching.msort
    mul = arithmetic.mul
    multiply = arithmetic.mul
    mv = products.mv
    mvlgamma = special.multigammaln
    nan_to_num = pointwise.nan_to_num
    nanmean = statistics.nanmean
    nanmedian = statistics.nanmedian
    nanquantile = ranks.nanquantile
    nansum = statistics.nansum
    narrow = joining.narrow
    ndimension = Values.dim
    ne = comparison.ne
    neg = pointwise.neg
    negative = pointwise.negative
    nextafter = binary.nextafter
    nonzero = gathering.nonzero
    nonzero_static = searching.nonzero_static
    norm = reduction.norm
    not_equal = comparison.not_equal
    outer = products.outer
    permute = shapes.permute
    pin_memory = conversion.pin_memory
    pinverse = linalg.pinverse
    positive = pointwise.positive
    pow = arithmetic.pow
    prod = reduction.prod
    put = checked(rearrange.put)
    qr = matrices.qr
    quantile = ranks.quantile
    rad2deg = pointwise.rad2deg
    ravel = shapes.ravel
    reciprocal = pointwise.reciprocal
    relu = pointwise.relu
    remainder = arithmetic.remainder
    renorm = statistics.renorm
    repeat = joining.repeat
    repeat_interleave = stacking.repeat_interleave
    reshape = shapes.reshape
    resolve_conj = questions.resolve_conj
    resolve_neg = questions.resolve_neg
    roll = joining.roll
    rot90 = rearrange.rot90
    round = pointwise.round
    rsqrt = pointwise.rsqrt
    scatter = scattering.scatter
    scatter_add = gathering.scatter_add
    scatter_reduce = scattering.scatter_reduce
    select = joining.select
    select_scatter = rearrange.select_scatter
    sgn = pointwise.sgn
    sigmoid = pointwise.sigmoid
    sign = pointwise.sign
    signbit = pointwise.signbit
    sin = pointwise.sin
    sinc = pointwise.sinc
    sinh = pointwise.sinh
    slice_scatter = rearrange.slice_scatter
    slogdet = linalg.slogdet
    softmax = softmaxes.softmax
    sort = order.sort
    split_with_sizes = joining.split_with_sizes
    sqrt = pointwise.sqrt
    square = pointwise.square
    squeeze = shapes.squeeze
    std = reduction.std
    sub = arithmetic.sub
    subtract = arithmetic.sub
    sum = reduction.sum
    sum_to_size = shapes.sum_to_size
    svd = matrices.svd
    swapaxes = shapes.transpose
    swapdims = shapes.transpose
    t = shapes.t
    take = checked(rearrange.take)
    take_along_dim = gathering.take_along_dim
    tan = pointwise.tan
    tanh = pointwise.tanh
    tensor_split = rearrange.tensor_split
    tile = joining.tile
    to = conversion.to
    topk = order.topk
    trace = stacking.trace
    transpose = shapes.transpose
    triangular_solve = checked(matrices.triangular_solve)
    tril = joining.tril
    triu = joining.triu
    true_divide = arithmetic.true_divide
    trunc = pointwise.trunc
    type_as_numpy = conversion.type_as_numpy
    unbind = joining.unbind
    unflatten = shapes.unflatten
    unfold = windows.unfold
    unique = searching.unique
    unique_consecutive = searching.unique_consecutive
    unsafe_chunk = joining.unsafe_chunk
    unsafe_split = joining.unsafe_split
    unsafe_split_with_sizes = joining.unsafe_split_with_sizes
    unsqueeze = shapes.unsqueeze
    var = reduction.var
    vdot = contraction.vdot
    view = shapes.view
    vsplit = rearrange.vsplit
    xlogy = binary.xlogy

    # Arguments in an order, or by a name, of their own; `self` is a Tensor, the one subclass.

    def split(self: Any, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """``gpunn.split``, whose argument has another name here, as in PyTorch."""
        return joining.split(self, split_size, dim)

    def polygamma(self: Any, n: int) -> Tensor:
        """The ``n``-th derivative of ``digamma``, elementwise."""
        return pointwise.polygamma(n, self)

    polygamma_ = in_place(polygamma)

    def where(self: Any, condition: Tensor, other: Tensor | float) -> Tensor:
        """This tensor where ``condition``, else ``other``."""
        return choice.where(condition, self, other)

    @checked
    def view_as(self: Any, other: Tensor) -> Tensor:
        """``view`` with the shape of ``other``."""
        return shapes.view(self, *other._data.shape)

    @checked
    def reshape_as(self: Any, other: Tensor) -> Tensor:
        """``reshape`` with the shape of ``other``."""
        return shapes.reshape(self, *other._data.shape)
