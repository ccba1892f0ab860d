"""Where a program copies between host and device, or waits for the device."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from gpunn.cuda.devices import driver, is_available


class Transfers(list[Any]):
    """The copies and waits of a block, in order; as text, one a line."""

    def __str__(self) -> str:
        return "\n".join(map(str, self))


@contextlib.contextmanager
def transfers() -> Generator[Transfers]:
    """List every copy between host and device, and every wait, that happens inside.

    Each item has ``kind`` ("host to device", "device to host", "synchronize"), ``bytes``,
    ``blocking`` (the program waited), and ``file``, ``line`` and ``code`` of the program, which is
    the first frame outside of gpunn and CuPy. Waits are those of gpunn, and of CuPy's streams,
    events and arrays; what another library does by itself is not seen. Empty without CUDA::

        with gpunn.cuda.transfers() as found:
            train_one_step()
        print(found)
    """
    found = Transfers()
    if not is_available():
        yield found
        return
    driver()
    from gpunn.backends.device import transfers as device

    device.begin(found)
    try:
        yield found
    finally:
        device.end(found)
