"""The optimizers of PyTorch's that gpunn has, held to PyTorch: what they make of weights."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from conformance import optim_calls
from conformance.calls import disagreement

import gpunn

CALLS = {f"optim.{name}": calls for name, calls in optim_calls.CALLS.items()}


def find(lib: Any, name: str) -> Any:
    """A function that works the class of that dotted name; None where there is none."""
    _, _, last = name.rpartition(".")
    return optim_calls.trainer(lib, last) if hasattr(lib.optim, last) else None


@pytest.mark.parametrize("name", CALLS)
def test_name(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    ours, theirs = find(gpunn, name), find(torch, name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = [disagreement(name, ours, theirs, given) for given in CALLS[name]]
    wrong = [text for text in found if text is not None]
    assert not wrong, f"{len(wrong)} of {len(found)} calls disagree:\n" + "\n".join(wrong)
