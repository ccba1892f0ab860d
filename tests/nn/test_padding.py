"""Padding layers: text, and that each is its function."""

from __future__ import annotations

import pytest
from parity import same

import gpunn
import gpunn.functional as F
from gpunn import nn

MODES = {"ReflectionPad": "reflect", "ReplicationPad": "replicate", "CircularPad": "circular"}


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("kind", [*MODES, "ZeroPad", "ConstantPad"])
def test_text_and_values(kind: str, ndim: int, device: str):
    value = (2.5,) if kind == "ConstantPad" else ()
    widths = tuple(range(2 * ndim)) if kind == "ZeroPad" else (1,) * 2 * ndim
    name = f"{kind}{ndim}d"
    same(lambda lib: repr(getattr(lib.nn, name)(1, *value)))
    same(lambda lib: repr(getattr(lib.nn, name)(widths, *value)))
    x = gpunn.rand(1, 2, *(3, 4, 5)[:ndim], device=device)
    expected = F.pad(x, widths, MODES.get(kind, "constant"), *value)
    assert getattr(nn, name)(widths, *value)(x).equal(expected)
