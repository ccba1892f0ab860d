"""One counter-based random stream for every device: a seed, and how far it has been used.

A draw takes its words from ``numpy.random.Philox(key=seed, counter=offset)`` and moves the offset
on, so the same seed gives the same uniforms and dropout masks on the CPU and on a GPU.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy

from gpunn.autograd.variable import Variable, wrap
from gpunn.device import device as Device

if TYPE_CHECKING:
    from collections.abc import Generator as Iteration
    from collections.abc import Iterable

    from gpunn.tensor import Tensor

_STATE = numpy.dtype([("seed", "<u8"), ("offset", "<u8")])


captured: Generator | None = None  # whose draws are captured in a CUDA graph


class Generator:
    """A random stream. ``Generator().manual_seed(0)`` draws what ``gpunn.manual_seed(0)`` would."""

    def __init__(self, device: Device | str = "cpu") -> None:
        self.device = Device(device)
        self._seed = 67280421310721  # PyTorch's default seed
        self._offset = 0

    def manual_seed(self, seed: int) -> Generator:
        """Begin the stream of ``seed`` anew. Raises ValueError outside [-2**63, 2**64)."""
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError(
                f"Overflow when unpacking long long: seed {seed} is not in [-2**63, 2**64)"
            )
        self._seed, self._offset = seed % 2**64, 0
        return self

    def seed(self) -> int:
        """Begin a stream whose seed the operating system chooses; returns it."""
        self.manual_seed(secrets.randbits(64))
        return self._seed

    def initial_seed(self) -> int:
        """The seed of this stream."""
        return self._seed

    def reserve(self, blocks: int) -> tuple[int, int]:
        """Take ``blocks`` blocks of 4 words off the stream: their ``(seed, offset)``."""
        if captured is not None and captured is not self:
            raise RuntimeError(
                "Attempt to increase offset for a CUDA generator not in capture mode: inside a "
                "CUDA graph, draw from the default generator"
            )
        offset = self._offset
        self._offset += blocks
        return self._seed, offset

    def get_state(self) -> Tensor:
        """Seed and offset as a uint8 tensor of 16 elements."""
        state = numpy.array([(self._seed, self._offset)], _STATE)
        return wrap(state.view(numpy.uint8).copy())

    def set_state(self, new_state: Tensor) -> Generator:
        """Go on where ``get_state`` was called. Raises TypeError, RuntimeError for no state."""
        if not isinstance(new_state, Variable) or new_state.data.dtype != numpy.uint8:
            raise TypeError("expected a gpunn uint8 tensor, as get_state() returns it")
        if new_state.data.shape != (_STATE.itemsize,):
            raise RuntimeError(
                f"RNG state is wrong size: expected {_STATE.itemsize} bytes, "
                f"got shape {list(new_state.data.shape)}"
            )
        state = numpy.ascontiguousarray(new_state.data).view(_STATE)[0]
        self._seed, self._offset = int(state["seed"]), int(state["offset"])
        return self

    def clone_state(self) -> Generator:
        """Another generator that goes on where this one is."""
        return Generator(self.device).set_state(self.get_state())

    def get_offset(self) -> int:
        """How many blocks of 4 words have been taken off the stream."""
        return self._offset

    def set_offset(self, offset: int) -> None:
        """Go on from that block. Raises ValueError for a negative one."""
        if not 0 <= offset < 2**64:
            raise ValueError(f"offset must be in [0, 2**64), got {offset}")
        self._offset = offset


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default stream, which serves every device."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default stream from the operating system."""
    return default_generator.seed()


def initial_seed() -> int:
    """The default stream's seed."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default stream's state, a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Set the default stream's state."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(
    devices: Iterable[object] | None = None, enabled: bool = True, device_type: str = "cuda"
) -> Iteration[None]:
    """Leave the default stream, which serves every device, as it was, whatever is drawn inside."""
    del devices, device_type
    state = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)
