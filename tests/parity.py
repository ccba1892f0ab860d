"""same: one scenario run on gpunn and on PyTorch, with the same outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest

import gpunn


def same(scenario: Callable[[Any], Any]) -> Any:
    """Check that ``scenario(gpunn)`` returns, or raises, what ``scenario(torch)`` does.

    Texts are compared with "torch" read as "gpunn" and "nn.modules" as "nn", tensors by dtype and
    elements. Returns gpunn's outcome.
    """
    torch = pytest.importorskip("torch")
    ours, theirs = _outcome(scenario, gpunn), _outcome(scenario, torch)
    assert ours == theirs, f"gpunn gives\n{ours}\nand PyTorch\n{theirs}"
    return ours


def changed(make: Callable[[Any], Any], change: Callable[[Any, Any], Any]) -> Any:
    """Check that ``change(lib, make(lib))`` leaves and returns the same, or raises alike."""

    def scenario(lib: Any) -> Any:
        module = make(lib)
        result = change(lib, module)
        return shown(module), shown(result) if isinstance(result, lib.nn.Module) else None

    return same(scenario)


def shown(module: Any) -> Any:
    """What a module is, as far as it shows: its class, its children's names, its text."""
    return type(module).__name__, list(module._modules), repr(module)


def _outcome(scenario: Callable[[Any], Any], lib: ModuleType) -> Any:
    try:
        return _plain(scenario(lib))
    except Exception as error:
        return type(error).__name__, _plain(str(error))


def _plain(value: Any) -> Any:
    """``value`` as what can be compared across the two."""
    if isinstance(value, str):
        return value.replace("torch", "gpunn").replace(".nn.modules.", ".nn.")
    if hasattr(value, "detach"):
        return str(value.dtype).rpartition(".")[2], value.detach().tolist()
    if isinstance(value, Mapping):
        return [(_plain(k), _plain(v)) for k, v in value.items()]
    if isinstance(value, (list, tuple, Iterator)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _plain(repr(value))
