"""Threads over tiles: NumPy computes without the interpreter's lock, so tiles go side by side.

No thread exists before the first array that is large enough; a fork leaves them behind, and the
child starts its own. Tiles are cut by size alone, so results do not depend on how many threads
there are. BLAS has threads of its own: a tile calls it only for products too small to be split.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy

# Elements of a tile at most. To call another thread, to be called back, or to wait where both want
# the interpreter's lock takes as long as 200,000 sums each time: so calls are long, and few.
TILE = 2**19

Work = Callable[[int, int], None]


class _Job:
    """Parts of a range, taken by whoever is free: the caller, and the pool's threads."""

    def __init__(self, work: Work, n: int, tile: int) -> None:
        parts = [(start, min(start + tile, n)) for start in range(0, n, tile)]
        self.work, self.parts, self.left = work, iter(parts), len(parts)
        self.error: BaseException | None = None
        self.lock, self.finished = threading.Lock(), threading.Event()

    def help(self) -> None:
        for start, stop in self.parts:
            try:
                if self.error is None:
                    self.work(start, stop)
            except BaseException as error:  # the caller raises it
                self.error = error
            with self.lock:
                self.left -= 1
                if not self.left:
                    self.finished.set()


class _Pool:
    """Idle threads at a queue of jobs."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.lock, self.size = threading.Lock(), 0

    def share(self, job: _Job, helpers: int) -> None:
        with self.lock:
            while self.size < helpers:
                threading.Thread(target=self.serve, name="gpunn", daemon=True).start()
                self.size += 1
        for _ in range(helpers):
            self.jobs.put(job)

    def serve(self) -> None:
        _here.nested = True
        with numpy.errstate(all="ignore"):  # which each thread has of its own
            while True:
                self.jobs.get().help()


def _available() -> int:
    """The cores that this process may use, or fewer if OMP_NUM_THREADS says so, as in PyTorch."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Here(threading.local):
    nested = False  # inside a tile: what it calls is not split again


_here = _Here()
_pool = _Pool()
_threads = _available()


def _forget() -> None:
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def get_num_threads() -> int:
    """How many threads work on one operation on the CPU."""
    return _threads


def set_num_threads(num_threads: int) -> None:
    """Let ``num_threads`` threads work on one operation on the CPU; at first, one for each core.

    Matrix products are NumPy's, whose BLAS has a number of its own (OPENBLAS_NUM_THREADS). Raises
    RuntimeError unless it is positive.
    """
    global _threads
    if type(num_threads) is not int:
        kind = type(num_threads).__name__
        raise RuntimeError(f"set_num_threads expects an int, but got {kind}")
    if num_threads < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, but got {num_threads}")
    _threads = num_threads


def share(n: int, each: int = 1, passes: int = 8) -> int:
    """How many of ``n`` parts of ``each`` elements go to a tile, if work goes over them so often.

    All to one if it is little, else there is an even number of tiles, alike in size.
    """
    if n * each * passes <= 4 * TILE:
        return max(n, 1)
    tiles = 2 * -(-n * each // (2 * TILE))
    return -(-n // tiles)


def tiled(work: Work, n: int, tile: int) -> None:
    """``work(start, stop)`` for the parts of ``range(n)`` of size ``tile``, in no order."""
    helpers = min(_threads, -(-n // tile)) - 1
    if helpers < 1 or _here.nested:
        for start in range(0, n, tile):
            work(start, min(start + tile, n))
        return
    job = _Job(work, n, tile)
    try:
        _here.nested = True
        _pool.share(job, helpers)
        job.help()
    finally:
        _here.nested = False
    job.finished.wait()
    if job.error is not None:
        raise job.error


def elementwise(work: Callable[..., Any], passes: int, *arrays: Any) -> None:
    """``work`` on the pieces of flat arrays, all of one size, of which it writes to some.

    They are contiguous, so that what is written reaches the arrays themselves. None stays None.
    """
    flat = [None if array is None else array.reshape(-1) for array in arrays]

    def piece(start: int, stop: int) -> None:
        work(*[None if array is None else array[start:stop] for array in flat])

    n = arrays[0].size
    tiled(piece, n, share(n, 1, passes))


_held = threading.local()


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Uninitialised memory that each thread keeps: fresh pages for every call would cost as much as
    the work itself. What is much larger than a tile is not kept."""
    size = math.prod(shape) * dtype.itemsize
    memory = getattr(_held, name, None)
    if memory is None or memory.nbytes < size:
        memory = numpy.empty(size, numpy.uint8)
        if size <= 32 * TILE:
            setattr(_held, name, memory)
    return memory[:size].view(dtype).reshape(shape)
