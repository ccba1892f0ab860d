"""NumPy on the CPU: what it does faster than the reference."""

from __future__ import annotations

from typing import Any

import numpy

from gpunn.backends.base import Backend
from gpunn.backends.host.activation import HostActivation
from gpunn.backends.host.convolution import HostConvolution
from gpunn.backends.host.memory import keep_freed
from gpunn.backends.host.normalization import HostNormalization
from gpunn.backends.host.optimizer import HostOptimizer
from gpunn.backends.host.pooling import HostPooling
from gpunn.backends.host.reduction import HostReduction
from gpunn.backends.host.scatter import HostScatter
from gpunn.backends.host.softmax import HostSoftmax
from gpunn.backends.host.threads import share, tiled


class CpuBackend(
    HostActivation,
    HostConvolution,
    HostNormalization,
    HostOptimizer,
    HostPooling,
    HostReduction,
    HostScatter,
    HostSoftmax,
    Backend,
):
    """The reference, with NumPy's own compiled forms where it has them."""

    def random_words(self, seed: int, offset: int, n: int) -> Any:
        """NumPy's own Philox, in C."""
        return numpy.random.Philox(key=seed, counter=offset).random_raw(n)

    def dropout(self, x: Any, seed: int, offset: int, p: float, dims: int, scale: float) -> Any:
        """By tiles that stay in the cache, so that neither words nor mask are ever whole."""
        if p == 1 or dims < x.ndim:
            return super().dropout(x, seed, offset, p, dims, scale)
        threshold, kept_scale = self.keep_threshold(p), x.dtype.type(scale)
        y = numpy.empty(x.shape, x.dtype)
        source, target = numpy.ravel(x), y.reshape(-1)

        def work(start: int, stop: int) -> None:
            # 8 halves to a block. `integers` gives random_raw's words, but without Python's lock.
            stream = numpy.random.Philox(key=seed, counter=offset + start // 8)
            words = numpy.random.Generator(stream).integers(
                0, 2**64, -(-(stop - start) // 2), numpy.uint64
            )
            kept = words.view(numpy.uint32)[: stop - start] >= threshold
            factor = numpy.multiply(kept, kept_scale, dtype=x.dtype)
            numpy.multiply(source[start:stop], factor, out=target[start:stop])

        tiled(work, x.size, -(-share(x.size, 1, 24) // 8) * 8)
        return y

    def view_of(self, array: Any, view: Any) -> Any:
        """NumPy makes broadcast views and diagonals read-only; PyTorch writes to both."""
        view.flags.writeable = array.flags.writeable
        return view


keep_freed()
