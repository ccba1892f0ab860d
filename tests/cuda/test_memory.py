"""Memory: what is held, the peak, what a pool keeps, and running out."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import gpunn
from gpunn.backends import Backend
from gpunn.cuda import OutOfMemoryError

KIB = 1024


@pytest.fixture
def pooled(cuda: Backend) -> Any:
    """Arrays from a pool, as on a GPU: the simulator gives each array memory of its own."""
    from gpunn.backends.device import memory

    gc.collect()
    pool = memory.Pool()
    with cuda.xp.cuda.using_allocator(pool.allocator()):
        gpunn.cuda.reset_peak_memory_stats()
        gpunn.cuda.reset_accumulated_memory_stats()
        yield pool


def test_what_tensors_hold(pooled: Any):
    held, reserved = gpunn.cuda.memory_allocated(), gpunn.cuda.memory_stats()
    x = gpunn.zeros(KIB, device="cuda")
    assert gpunn.cuda.memory_allocated("cuda:0") == held + 4 * KIB
    y = x[1:]
    assert gpunn.cuda.memory_allocated() == held + 4 * KIB  # a view holds nothing more
    del x
    assert gpunn.cuda.memory_allocated() == held + 4 * KIB
    del y
    assert gpunn.cuda.memory_allocated() == held
    stats = gpunn.cuda.memory_stats()
    key = "reserved_bytes.all.current"
    assert stats[key] == reserved[key] + 4 * KIB  # the pool keeps it
    assert stats["allocation.all.allocated"] == reserved["allocation.all.allocated"] + 1
    z = gpunn.ones(KIB, device="cuda")
    assert gpunn.cuda.memory_stats()[key] == stats[key]  # and hands it on
    del z
    pooled._pool.free_all_blocks()
    assert gpunn.cuda.memory_stats()[key] == reserved[key]


def test_the_peak(pooled: Any):
    held = gpunn.cuda.memory_allocated()
    x = gpunn.zeros(KIB, device="cuda")
    y = gpunn.zeros(KIB, device="cuda")
    del x, y
    assert gpunn.cuda.max_memory_allocated() == held + 8 * KIB
    assert gpunn.cuda.max_memory_reserved() >= 8 * KIB
    gpunn.cuda.reset_peak_memory_stats()
    assert gpunn.cuda.max_memory_allocated() == held
    z = gpunn.zeros(KIB, device="cuda")
    assert gpunn.cuda.max_memory_allocated() == held + 4 * KIB
    assert z.sum().item() == 0


def test_sums_begin_anew(pooled: Any):
    del pooled
    x = gpunn.zeros(KIB, device="cuda")
    assert gpunn.cuda.memory_stats()["allocated_bytes.all.allocated"] > 4 * KIB - 1
    freed = gpunn.cuda.memory_stats()["allocated_bytes.all.freed"]
    del x
    assert gpunn.cuda.memory_stats()["allocated_bytes.all.freed"] == freed + 4 * KIB
    gpunn.cuda.reset_accumulated_memory_stats()
    assert gpunn.cuda.memory_stats()["allocated_bytes.all.freed"] == 0


@pytest.mark.usefixtures("cuda")
def test_the_drivers_own_numbers():
    free, total = gpunn.cuda.mem_get_info()
    assert 0 < free <= total == gpunn.cuda.get_device_properties().total_memory
    gpunn.cuda.empty_cache()


@pytest.mark.usefixtures("cuda")
def test_the_summary():
    x = gpunn.zeros(KIB, device="cuda")
    text = gpunn.cuda.memory_summary()
    assert text.startswith("gpunn memory of cuda:0: ")
    assert "segments, number" in text
    assert "segments, number" not in gpunn.cuda.memory_summary(abbreviated=True)
    assert len({len(line) for line in text.split("\n")[1:]}) == 1
    del x


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.50 KiB"), (3 << 40, "3072.00 GiB")],
)
@pytest.mark.usefixtures("cuda")
def test_readable_sizes(size: int, text: str):
    from gpunn.backends.device.memory import readable

    assert readable(size) == text


@pytest.mark.parametrize("source", ["driver", "pool"])
def test_running_out(request: pytest.FixtureRequest, source: str):
    request.getfixturevalue("cuda" if source == "driver" else "pooled")
    x = gpunn.ones(KIB, device="cuda")
    before = x.clone()
    held, failures = gpunn.cuda.memory_allocated(), gpunn.cuda.memory_stats()["num_ooms"]
    _, total = gpunn.cuda.mem_get_info()
    with pytest.raises(
        OutOfMemoryError,
        match=r"^CUDA out of memory\. Tried to allocate \d+\.00 GiB\. GPU 0 has a total capacity "
        r"of \d+\.\d\d GiB of which \d+\.\d\d GiB is free\. Of the allocated memory .* is "
        r"allocated by gpunn, and .* is reserved by gpunn but unallocated\. Use a smaller batch",
    ) as raised:
        x.expand(total // 2 // KIB, KIB).clone()
    assert raised.value.__context__ is None
    assert isinstance(raised.value, RuntimeError)
    assert gpunn.cuda.memory_allocated() == held
    assert gpunn.cuda.memory_stats()["num_ooms"] == failures + 1
    assert gpunn.equal(x, before)
    assert gpunn.zeros(3, device="cuda").sum().item() == 0  # the next allocation works


def test_an_in_place_operation_that_runs_out_changes_nothing(cuda: Backend):
    x = gpunn.ones(4, device="cuda")
    version = x._version

    def fail(size: int) -> Any:
        raise cuda.xp.cuda.memory.OutOfMemoryError(size, 0)

    from gpunn.backends.device import memory

    with (
        cuda.xp.cuda.using_allocator(memory.allocator(fail)),
        pytest.raises(OutOfMemoryError, match="Tried to allocate 16 bytes"),
    ):
        x.add_(1)
    assert x._version == version
    assert x.tolist() == [1] * 4
    assert x.add_(1).tolist() == [2] * 4


def test_other_failures_stay_what_they_are(cuda: Backend):
    from gpunn.backends.device import memory

    def fail(size: int) -> Any:
        raise ZeroDivisionError(size)

    with (
        cuda.xp.cuda.using_allocator(memory.allocator(fail)),
        pytest.raises(ZeroDivisionError),
    ):
        gpunn.zeros(4, device="cuda")


def test_memory_that_another_stream_reads_is_not_given_out(pooled: Any, cuda: Backend):
    del pooled

    class Stream:
        device_id = 0
        done = False

        def record(self, event: Any) -> Stream:
            return self

    from gpunn.backends.device import memory

    x = gpunn.ones(KIB, device="cuda")
    address, stream = x.data_ptr(), Stream()
    memory.used_by(x[3:].data, stream)
    del x
    others = [gpunn.zeros(KIB, device="cuda") for _ in range(3)]
    assert address not in [other.data_ptr() for other in others]
    stream.done = True
    others.append(gpunn.zeros(KIB, device="cuda"))
    assert others[-1].data_ptr() == address
    assert cuda.name == "cuda"


def test_record_stream(pooled: Any):
    del pooled
    side = gpunn.cuda.Stream()
    x = gpunn.ones(KIB, device="cuda")
    side.wait_stream(gpunn.cuda.current_stream())
    with gpunn.cuda.stream(side):
        y = x * 2
    x.record_stream(side)
    del x
    z = gpunn.zeros(KIB, device="cuda")
    gpunn.cuda.current_stream().wait_stream(side)
    assert (y + z).sum().item() == 2 * KIB
    with pytest.raises(
        RuntimeError, match=r"record_stream\(\) is for CUDA tensors, but got one on cpu"
    ):
        gpunn.ones(2).record_stream(side)


@pytest.mark.parametrize("inside", [False, True])
def test_an_allocator_that_was_chosen_before_is_kept(cuda: Backend, inside: bool):
    """Inside of CuPy's context for another allocator, too."""
    from gpunn.backends.device import memory

    before, asked = cuda.xp.cuda.get_allocator(), []

    def chosen(size: int) -> Any:
        asked.append(size)
        return before(size)

    shared = memory._shared
    try:
        cuda.xp.cuda.set_allocator(chosen)
        with cuda.xp.cuda.using_allocator(before if inside else chosen):
            memory.install()
            assert cuda.xp.cuda.get_allocator() is (before if inside else chosen)
        held = gpunn.cuda.memory_allocated()
        x = gpunn.zeros(KIB, device="cuda")
        assert asked == [4 * KIB]
        assert gpunn.cuda.memory_allocated() > held
        del x
    finally:
        cuda.xp.cuda.set_allocator(before)
        memory._shared = shared
