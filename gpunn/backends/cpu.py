"""NumPy on the CPU: what it does faster than the reference."""

from __future__ import annotations

from typing import Any

import numpy

from gpunn.backends.base import Backend


class CpuBackend(Backend):
    """The reference, with NumPy's own compiled forms where it has them."""

    def random_words(self, seed: int, offset: int, n: int) -> Any:
        """NumPy's own Philox, in C."""
        return numpy.random.Philox(key=seed, counter=offset).random_raw(n)

    def index_add(self, target: Any, index: Any, source: Any) -> None:
        """``numpy.add.at``, which adds duplicates in order."""
        numpy.add.at(target, index, source)
