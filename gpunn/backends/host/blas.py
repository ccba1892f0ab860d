"""BLAS held to one thread while threads of our own call it, side by side on parts of one operation.

Its own threads split every product, and wait for each other by spinning: beside ours, or on a core
that somebody else uses, they take many times as long.
"""

from __future__ import annotations

import os
import threading
from typing import Any


class _Single:
    """A context that any thread may enter, also twice; the last to leave restores the setting."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.libraries: list[Any] | None = None
        self.before: list[int] = []

    def __enter__(self) -> None:
        with self.lock:
            if self.libraries is None:
                self.libraries = _numpys()
            if not self.inside:
                self.before = [library.get_num_threads() for library in self.libraries]
                self._set([1] * len(self.libraries))
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self._set(self.before)

    def _set(self, numbers: list[int]) -> None:
        for library, number in zip(self.libraries or (), numbers, strict=True):
            library.set_num_threads(number)

    def forget(self) -> None:
        """In a forked child: the threads that were inside are not there."""
        self.lock = threading.Lock()
        if self.inside:
            self._set(self.before)
            self.inside = 0


def _numpys() -> list[Any]:
    """The BLAS libraries that are loaded, NumPy's among them."""
    # Not at import: it looks through all libraries of the process.
    from threadpoolctl import ThreadpoolController  # pyright: ignore[reportMissingTypeStubs]

    controller: Any = ThreadpoolController()
    return controller.select(user_api="blas").lib_controllers


single = _Single()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=single.forget)
