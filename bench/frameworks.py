"""The frameworks that the rows are written for: where each can run, and its rows ready to time."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Protocol

from bench.rows import Make, Work, makes

# Those whose API is gpunn's run the rows of rows.py; each other has a NAME_rows.py of its own.
_SHARED = ("gpunn", "torch")
FRAMEWORKS = (*_SHARED, "jax", "mlx")


class Framework(Protocol):
    """``works(device)`` has a maker for each row it can express; its work waits for the device."""

    @property
    def PACKAGES(self) -> tuple[ModuleType, ...]: ...  # noqa: N802  (a module's constant)

    def devices(self) -> tuple[str, ...]: ...

    def works(self, device: str) -> dict[str, Callable[[], Work]]: ...


class _Shared:
    """gpunn, or PyTorch."""

    def __init__(self, name: str) -> None:
        self._lib = lib = importlib.import_module(name)
        self.PACKAGES = (lib,)
        if name == "torch" and hasattr(os, "sched_getaffinity"):
            lib.set_num_threads(len(os.sched_getaffinity(0)))

    def devices(self) -> tuple[str, ...]:
        return ("cpu", "cuda") if self._lib.cuda.is_available() else ("cpu",)

    def works(self, device: str) -> dict[str, Callable[[], Work]]:
        return {name: partial(self._work, make, device) for name, make in makes().items()}

    def _work(self, make: Make, device: str) -> Work:
        self._lib.manual_seed(0)
        work = make(self._lib, device)
        if device != "cuda":
            return work

        def finished() -> None:
            work()
            self._lib.cuda.synchronize()  # a GPU's time counts, not its queue's

        return finished


def load(name: str) -> Framework:
    """ImportError where it is not installed."""
    if name in _SHARED:
        return _Shared(name)
    adapter: Any = importlib.import_module(f"bench.{name}_rows")
    return adapter


def at_hand() -> dict[str, Framework]:
    """Those that are installed, by name."""
    found: dict[str, Framework] = {}
    for name in FRAMEWORKS:
        try:
            found[name] = load(name)
        except ImportError:
            continue
    return found
