"""Modules, optimizers, schedules and derivatives, held to PyTorch through small programs."""

from __future__ import annotations

from typing import Any

import pytest
from conformance import (
    container_calls,
    core_calls,
    derivative_calls,
    init_calls,
    optim_calls,
    schedule_calls,
    scripts,
    sequence_calls,
    swa_calls,
    utility_calls,
)
from conformance.calls import Call, agree, disagreement

import gpunn

# Of each namespace: its calls, and what makes a function of a name that can be compared.
TABLES: dict[str, tuple[dict[str, list[Call]], Any]] = {
    "autograd.functional": (derivative_calls.CALLS, derivative_calls.runner),
    "nn": ({**container_calls.CALLS, **core_calls.CALLS}, scripts.runner),
    "nn.init": (init_calls.CALLS, scripts.runner),
    "nn.utils": (utility_calls.CALLS, scripts.runner),
    "nn.utils.rnn": (sequence_calls.CALLS, scripts.runner),
    "optim": (optim_calls.CALLS, optim_calls.trainer),
    "optim.lr_scheduler": (schedule_calls.CALLS, schedule_calls.runner),
    "optim.swa_utils": (swa_calls.CALLS, swa_calls.runner),
}
CALLS = {
    f"{space}.{name}": calls
    for space, (table, _) in TABLES.items()
    for name, calls in table.items()
}


def find(lib: Any, name: str) -> Any:
    """A function that works what has that dotted name."""
    space, _, last = name.rpartition(".")
    return TABLES[space][1](lib, last)


@pytest.mark.parametrize("name", CALLS)
def test_name(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    ours, theirs = find(gpunn, name), find(torch, name)
    agree(disagreement(name, ours, theirs, given) for given in CALLS[name])
