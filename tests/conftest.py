"""Fixtures for every test: ``device``, and a fresh random stream."""

from __future__ import annotations

import pytest
from checks import devices

import gpunn


@pytest.fixture(params=devices())
def device(request: pytest.FixtureRequest) -> str:
    """Each device of this machine in turn."""
    return request.param


@pytest.fixture(autouse=True)
def _fresh_stream() -> None:
    gpunn.manual_seed(0)
