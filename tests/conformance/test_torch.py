"""Every name of ``torch`` that gpunn has, held to PyTorch: values, gradients, refusals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from conformance.calls import disagreement
from conformance.tensor_calls import CALLS

import gpunn

HAVE = [name for name in CALLS if hasattr(gpunn, name)]


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.filterwarnings("ignore")
def test_name(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = [
            disagreement(name, getattr(gpunn, name), getattr(torch, name), given)
            for given in CALLS[name]
        ]
    wrong = [text for text in found if text is not None]
    assert not wrong, f"{len(wrong)} of {len(found)} calls disagree:\n" + "\n".join(wrong)
