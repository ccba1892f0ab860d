"""Every module that gpunn has, held to PyTorch's: text, parameters, values, gradients."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from conformance import loss_module_calls, module_calls, sequence_module_calls
from conformance.calls import agree
from conformance.modules import disagreement

import gpunn

MODULES = {
    **module_calls.MODULES,
    **loss_module_calls.MODULES,
    **sequence_module_calls.MODULES,
}
NAMES = [name for name in MODULES if hasattr(gpunn.nn, name)]


@pytest.mark.parametrize("name", NAMES)
def test_module(name: str) -> None:
    pytest.importorskip("torch")
    agree(disagreement(name, use) for use in MODULES[name])


@pytest.mark.parametrize("name", NAMES)
def test_signature(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(getattr(lib.nn, name)) for lib in (gpunn, torch))
    # What PyTorch only hands on, as args and kwargs, it does not name.
    given, wanted = (
        [p for p in signature.parameters if p not in ("args", "kwargs")]
        for signature in (ours, theirs)
    )
    assert not wanted or given == wanted
