"""What the benchmarks run on: each framework at hand, on each device that it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bench.frameworks import Framework, at_hand
from bench.rows import Work

# They import what need not be installed; `frameworks` loads them where it is.
collect_ignore = ["jax_rows.py", "mlx_rows.py"]


@dataclass(frozen=True)
class Target:
    """A framework on a device."""

    name: str
    framework: Framework
    device: str

    def __str__(self) -> str:
        return f"{self.name}-{self.device}"

    def work(self, row: str) -> Work:
        makes = self.framework.works(self.device)
        if row not in makes:
            pytest.skip(f"{self.name} cannot express it")
        return makes[row]()


def _targets() -> Iterator[Target]:
    for name, framework in at_hand().items():
        for device in framework.devices():
            yield Target(name, framework, device)


@pytest.fixture(params=list(_targets()), ids=str)
def target(request: pytest.FixtureRequest) -> Target:
    return request.param
