"""A linear map and the cross entropy of what it gives, as one function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpunn.functional.classification import cross_entropy
from gpunn.functional.linear import linear
from gpunn.ops.common import is_floating_point, need_tensor

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``.

    ``(N, in)`` or ``(in,)``, weight ``(C, in)``, bias ``(C,)``, target as in ``cross_entropy``. Of
    a weight ``(C, *d, in)`` and bias ``(C, *d)`` the loss is that of ``(N, C, *d)``. An
    ``ignore_index`` of None is -100 for classes, and the only one for probabilities. Raises
    RuntimeError for shapes that do not fit, NotImplementedError for ``options``: the logits are
    computed at once.
    """
    name = "linear_cross_entropy"
    for position, (argument, value) in enumerate(
        (("input", input), ("linear_weight", linear_weight), ("target", target)), 1
    ):
        need_tensor(name, value, argument, position)
    if options is not None:
        raise NotImplementedError(f"{name}: options are not supported; use options=None")
    x, w = input.data, linear_weight.data
    if x.ndim not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {x.ndim}")
    if w.ndim < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {w.ndim}")
    if x.shape[-1] != w.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{x.shape[-1]} and {w.shape[-1]}, respectively"
        )
    classes = w.shape[:-1]
    if linear_bias is not None and linear_bias.data.shape != classes:
        raise RuntimeError(
            f"expected linear_bias shape {classes}, got {tuple(linear_bias.data.shape)}"
        )
    if len(classes) > 1 and x.ndim == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {w.shape} requires batched input, "
            f"(N, {w.shape[-1]}), got unbatched input with shape {x.shape}"
        )
    if ignore_index is None:
        ignore_index = -100
    elif is_floating_point(target):
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(input, linear_weight.reshape(-1, w.shape[-1]), bias)
    return cross_entropy(
        logits.reshape(*x.shape[:-1], *classes),
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
