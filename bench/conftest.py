"""What the benchmarks run on: each framework and device at hand; the API is one, so is the code."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import pytest


@dataclass(frozen=True)
class Target:
    """A framework on a device."""

    lib: ModuleType
    device: str

    def __str__(self) -> str:
        return f"{self.lib.__name__}-{self.device}"

    def finished(self, work: Callable[[], object]) -> Callable[[], None]:
        """`work`, then the wait for what it launched: a GPU's time counts, not its queue's."""

        def run() -> None:
            work()
            if self.device == "cuda":
                self.lib.cuda.synchronize()

        return run


def _targets() -> Iterator[Target]:
    for name in ("gpunn", "torch"):
        try:
            lib = importlib.import_module(name)
        except ImportError:
            continue
        yield Target(lib, "cpu")
        if lib.cuda.is_available():
            yield Target(lib, "cuda")


@pytest.fixture(params=list(_targets()), ids=str)
def target(request: pytest.FixtureRequest) -> Target:
    request.param.lib.manual_seed(0)
    return request.param
