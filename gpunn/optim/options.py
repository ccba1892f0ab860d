"""Options of optimizers: what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn.tensor import Tensor


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options outside their range, in PyTorch's words (ValueError, RuntimeError)."""
    check_rate(options["lr"], "Invalid learning rate")
    for key, title in _NOT_NEGATIVE.items():
        if key in options and not options[key] >= 0:
            raise ValueError(f"Invalid {title}: {options[key]}")
    if options.get("foreach") and options.get("fused"):
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if options.get("differentiable"):
        raise ValueError(
            "differentiable=True is not supported: the optimizers change parameters in place and "
            "record nothing; write the update as tensor operations instead"
        )
    for i, beta in enumerate(options.get("betas", ())):
        if not 0 <= beta < 1:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")


def check_rate(lr: float | Tensor, text: str) -> None:
    """Refuse a learning rate below 0 with ``text``, and one of several elements (ValueError)."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0:
        raise ValueError(f"{text}: {lr}")


_NOT_NEGATIVE = {
    "eps": "epsilon value",
    "momentum": "momentum value",
    "weight_decay": "weight_decay value",
    "alpha": "alpha value",
}
