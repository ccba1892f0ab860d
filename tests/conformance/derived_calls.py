"""Calls made of others: methods in place from their functions, in float32, which no leaf refuses;
functions of ``torch`` that are ``nn.functional``'s."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call
from conformance.inputs import F32, F64, Table

import gpunn

MOST = 16  # of each name
# What they draw is random, or in place PyTorch refuses other shapes in sentences of its own.
WITHOUT = set("addbmm addmm addmv addr as_strided baddbmm bernoulli masked_scatter normal".split())  # noqa: SIM905
# Of floats only: an integer is refused for the dtype of the result, by PyTorch in C++'s words.
FLOATS = set("clamp clamp_max clamp_min clip cumprod cumsum ldexp mvlgamma".split())  # noqa: SIM905


def single(value: Any) -> Any:
    """``value`` with its float64 arrays in float32."""
    if isinstance(value, np.ndarray) and value.dtype == F64:
        return value.astype(F32)
    if type(value) in (list, tuple):
        return type(value)(map(single, value))
    return value


def in_place(functions: Table) -> Table:
    """``Tensor.add_`` and so on, for each function that tensors have in place too."""
    table = Table()
    for name in sorted(set(functions) - WITHOUT):
        if "." not in name and hasattr(gpunn.Tensor, f"{name}_"):
            calls = [c for c in functions[name] if takes(name, c)][:MOST]
            table.add(
                f"Tensor.{name}_",
                [Call(single(c.args), {k: single(v) for k, v in c.kwargs.items()}) for c in calls],
            )
    return table


def takes(name: str, given: Call) -> bool:
    """Whether the call is one of a tensor's method."""
    first = given.args[0] if given.args else None
    if not isinstance(first, np.ndarray) or "out" in given.kwargs:
        return False
    return name not in FLOATS or first.dtype.kind == "f"


SAME = """
    adaptive_avg_pool1d avg_pool1d bilinear celu channel_shuffle conv1d conv2d conv3d
    conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity hardshrink
    pairwise_distance pdist pixel_shuffle pixel_unshuffle prelu rms_norm rrelu selu threshold
""".split()  # noqa: SIM905


def of_layers(functions: Table) -> Table:
    """``torch.celu`` and so on, which are ``nn.functional``'s but for ``inplace``."""
    table = Table()
    for name in SAME:
        calls = functions[f"nn.functional.{name}"]
        table.add(name, [c for c in calls if "inplace" not in c.kwargs][:MOST])
    return table
