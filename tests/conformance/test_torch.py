"""Every name of PyTorch's that gpunn has, held to PyTorch: values, gradients, refusals."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from conformance import nn_calls, tensor_calls
from conformance.calls import agree, disagreement
from conformance.compared import COMPARED

import gpunn

CALLS = {**tensor_calls.CALLS, **nn_calls.CALLS}


def find(lib: Any, name: str) -> Any:
    """The function of that dotted name, seen as it can be compared; None where there is none."""
    try:
        function = operator.attrgetter(name)(lib)
    except AttributeError:
        return None
    return COMPARED[name](function) if name in COMPARED else function


@pytest.mark.parametrize("name", CALLS)
def test_name(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    ours, theirs = find(gpunn, name), find(torch, name)
    agree(disagreement(name, ours, theirs, given) for given in CALLS[name])
