"""Device memory: how much tensors hold, how much at most, and giving it back. All in bytes."""

from __future__ import annotations

from typing import Any

from gpunn.cuda.devices import Where, driver, index_of, is_available


def _memory() -> Any:
    driver()  # raises, with the reason, where CUDA cannot be used
    from gpunn.backends.device import memory

    return memory


def memory_allocated(device: Where = None) -> int:
    """Bytes that tensors on ``device`` hold now, each rounded up to a multiple of 512.

    0 without CUDA, as for all questions here.
    """
    return _usage(device).allocated_bytes.current if is_available() else 0


def max_memory_allocated(device: Where = None) -> int:
    """The most bytes that tensors have held, since the start or `reset_peak_memory_stats`."""
    return _usage(device).allocated_bytes.peak if is_available() else 0


def memory_reserved(device: Where = None) -> int:
    """Bytes that gpunn has of the driver: what tensors hold, and what is kept for the next."""
    return _memory().reserved(index_of(device)) if is_available() else 0


def max_memory_reserved(device: Where = None) -> int:
    """The most bytes that were reserved, since the start or `reset_peak_memory_stats`."""
    return _memory().peak_reserved(index_of(device)) if is_available() else 0


def reset_peak_memory_stats(device: Where = None) -> None:
    """Begin the peaks anew, from what is held now."""
    if is_available():
        for counter in _usage(device).counters().values():
            counter.peak = counter.current


def reset_accumulated_memory_stats(device: Where = None) -> None:
    """Begin the sums ``allocated``, ``freed``, ``num_ooms`` and ``num_alloc_retries`` anew."""
    if is_available():
        found = _usage(device)
        found.retries = found.failures = 0
        for counter in found.counters().values():
            counter.allocated = counter.current


def empty_cache() -> None:
    """Give memory that no tensor uses back to the driver, for other programs."""
    if is_available():
        _memory().empty_cache()


def mem_get_info(device: Where = None) -> tuple[int, int]:
    """``(free, total)`` bytes of the device, as the driver has it, whoever uses them."""
    return _memory().memory_info(index_of(device))


def memory_stats(device: Where = None) -> dict[str, int]:
    """PyTorch's statistics by its names; those of parts that gpunn does not have are left out.

    ``allocated_bytes`` and ``allocation`` are of tensors, ``reserved_bytes`` and ``segment`` of
    what the driver gave: each ``.all.current``, ``.all.peak``, ``.all.allocated`` (in sum) and
    ``.all.freed``. ``num_alloc_retries`` counts allocations that had to empty the cache,
    ``num_ooms`` those that failed even so.
    """
    if not is_available():
        return {}
    found = _usage(device)
    stats = {
        f"{name}.all.{part}": value
        for name, counter in found.counters().items()
        for part, value in (
            ("allocated", counter.allocated),
            ("current", counter.current),
            ("freed", counter.allocated - counter.current),
            ("peak", counter.peak),
        )
    }
    return {**stats, "num_alloc_retries": found.retries, "num_ooms": found.failures}


def memory_summary(device: Where = None, abbreviated: bool = False) -> str:
    """A table of `memory_stats` for people; ``abbreviated`` leaves out the numbers of blocks."""
    index, stats, readable = index_of(device), memory_stats(device), _memory().readable
    lines = [
        f"gpunn memory of cuda:{index}: {stats['num_ooms']} times out of memory, "
        f"{stats['num_alloc_retries']} times after emptying the cache",
        f"{'':16}{'now':>14}{'at most':>14}{'allocated':>14}{'freed':>14}",
    ]
    for label, name in (("tensors", "allocated_bytes"), ("reserved", "reserved_bytes")):
        lines.append(_row(label, stats, name, readable))
    if not abbreviated:
        lines.append(_row("tensors, number", stats, "allocation", str))
        lines.append(_row("segments, number", stats, "segment", str))
    return "\n".join(lines)


def _row(label: str, stats: dict[str, int], name: str, written: Any) -> str:
    parts = (stats[f"{name}.all.{part}"] for part in ("current", "peak", "allocated", "freed"))
    return f"{label:16}" + "".join(f"{written(part):>14}" for part in parts)


def _usage(device: Where) -> Any:
    return _memory().usage[index_of(device)]
