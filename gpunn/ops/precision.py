"""In which dtype an operation runs inside ``gpunn.autocast``: PyTorch's lists, by its names.

A public function that is listed begins with ``if in_use: x, y = cast_for("name", x, y)``: outside
autocast that is one look at an empty list.
"""

from __future__ import annotations

from typing import Any

from gpunn.autograd.casting import autocast_state
from gpunn.autograd.grad_mode import thread
from gpunn.autograd.variable import Variable
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, dtype, float32, float64
from gpunn.ops.conversion import Cast

_LOWER = """
    addbmm addmm baddbmm bmm conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
    linear matmul mm multi_dot prelu scaled_dot_product_attention
"""
_LOSSES = """
    binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy hinge_embedding_loss
    huber_loss kl_div l1_loss margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss
    nll_loss poisson_nll_loss smooth_l1_loss soft_margin_loss triplet_margin_loss
"""
_BANNED = (
    "gpunn.nn.functional.binary_cross_entropy and gpunn.nn.BCELoss are unsafe to autocast.\n"
    "Many models use a sigmoid layer right before the binary cross entropy layer.\n"
    "In this case, combine the two layers using "
    "gpunn.nn.functional.binary_cross_entropy_with_logits\nor gpunn.nn.BCEWithLogitsLoss.  "
    "binary_cross_entropy_with_logits and BCEWithLogits are\nsafe to autocast."
)
# What runs in the region's dtype, in float32, and in the widest of its arguments'.
_LISTS = {
    "cuda": {
        "lower": f"{_LOWER} addmv addr einsum mv",
        "float32": f"""
            {_LOSSES} acos asin cdist cosh cosine_similarity cumprod cumsum dist erfinv exp expm1
            group_norm layer_norm log log10 log1p log2 log_softmax logsumexp norm normalize pdist
            pow prod reciprocal renorm rsqrt sinh softmax softmin softplus sum tan
        """,
        "banned": "binary_cross_entropy",
        "widest": """
            addcdiv addcmul atan2 bilinear cat cross dot grid_sample index_put scatter_add stack
            tensordot
        """,
    },
    "cpu": {
        "lower": f"{_LOWER} einsum vecdot",
        "float32": f"""
            {_LOSSES} adaptive_avg_pool3d avg_pool3d binary_cross_entropy cdist cholesky ctc_loss
            grid_sample inv max_pool3d nanquantile pad_reflect pad_replicate pinv prod quantile
            solve trace
        """,
        "widest": "cat index_copy stack",
    },
}
_POLICIES = {
    where: {name: policy for policy, names in lists.items() for name in names.split()}
    for where, lists in _LISTS.items()
}
LISTED = frozenset(name for policies in _POLICIES.values() for name in policies)


def cast_for(name: str, *values: Any) -> tuple[Any, ...]:
    """``values`` with floating-point tensors cast as the operation ``name`` wants them here.

    float64 and what lies on a device without autocast stay as they are.
    """
    enabled = autocast_state.enabled
    if not enabled:
        return values
    where = next((_place(v) for v in values if isinstance(v, Variable)), "")
    policy = _POLICIES[where].get(name) if where in enabled else None
    if policy is None:
        return values
    if policy == "banned":
        raise RuntimeError(_BANNED)
    chosen = [isinstance(v, Variable) and _place(v) == where and _narrow(v) for v in values]
    kind = float32 if policy == "float32" else enabled[where]
    if policy == "widest" and any(
        c and v._data.dtype == float32.numpy for c, v in zip(chosen, values, strict=True)
    ):
        kind = float32
    return tuple(_cast(v, kind) if c else v for c, v in zip(chosen, values, strict=True))


def _place(x: Variable) -> str:
    return type2backend[type(x._data)].name


def _narrow(x: Variable) -> bool:
    return x._data.dtype.kind in FLOATING and x._data.dtype != float64.numpy


def _cast(x: Variable, kind: dtype) -> Any:
    """``x`` as ``kind``; a weight, which every call would cast anew, is cast once in a region."""
    if x._data.dtype == kind.numpy:
        return x
    region = autocast_state
    weight = x._requires_grad and x._grad_fn is None and x._base is None and kind is not float32
    if not (weight and region.caching and region.depth and thread.mode.enabled):
        return Cast.apply(x, kind.numpy)
    key = id(x), kind
    kept = region.cache.get(key)
    if kept is None or kept[1] != x._version_box[0]:
        kept = region.cache[key] = x, x._version_box[0], Cast.apply(x, kind.numpy)
    return kept[2]
