"""What the kernels' tests share: the simulator's counter of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gpunn.sim
from gpunn.sim.profile import SECTOR, Profile


@pytest.fixture
def moved(cuda: Any) -> Iterator[Callable[[str], int]]:
    """How many bytes a kernel has moved to and from global memory, in whole sectors."""
    if not gpunn.sim.installed():
        pytest.skip("the simulator counts, a GPU does not")
    device = gpunn.sim.install(profile=True)
    device.profile = Profile()
    yield lambda name: SECTOR * sum(c.sectors for c in device.profile.kernel(name).lines.values())
    gpunn.sim.install()
