"""Streams and events: which is current, who waits, what is refused."""

from __future__ import annotations

import pytest

import gpunn

pytestmark = pytest.mark.usefixtures("cuda")
E = gpunn.cuda.Event


def test_a_stream_is_current_inside_its_context_only():
    before, s = gpunn.cuda.current_stream(), gpunn.cuda.Stream()
    assert before == gpunn.cuda.default_stream() == gpunn.cuda.default_stream("cuda:0")
    assert before != s
    with gpunn.cuda.stream(s) as entered:
        assert entered is s
        assert gpunn.cuda.current_stream() == s
        with gpunn.cuda.stream(None):
            assert gpunn.cuda.current_stream() == s
        with gpunn.cuda.stream(before):
            assert gpunn.cuda.current_stream() == before
        assert gpunn.cuda.current_stream() == s
    assert gpunn.cuda.current_stream() == before
    with pytest.raises(ZeroDivisionError), gpunn.cuda.stream(s):
        _ = 1 // 0
    assert gpunn.cuda.current_stream() == before


def test_set_stream_lasts():
    before, s = gpunn.cuda.current_stream(), gpunn.cuda.Stream()
    gpunn.cuda.set_stream(s)
    try:
        assert gpunn.cuda.current_stream() == s
        gpunn.cuda.set_stream(None)
        assert gpunn.cuda.current_stream() == s
    finally:
        gpunn.cuda.set_stream(before)
    assert gpunn.cuda.current_stream() == before


def test_what_a_stream_says_of_itself():
    s = gpunn.cuda.Stream(priority=0)
    assert s.device == gpunn.device("cuda:0")
    assert s.priority == 0
    assert repr(s) == f"<gpunn.cuda.Stream device=cuda:0 cuda_stream={s.cuda_stream:#x}>"
    assert gpunn.cuda.default_stream().cuda_stream == 0
    assert len({s, gpunn.cuda.Stream._of(s._handle, 0), gpunn.cuda.Stream()}) == 2
    assert s != "a stream"


def test_work_of_streams_that_wait_for_each_other():
    x = gpunn.arange(6.0, device="cuda")
    s = gpunn.cuda.Stream()
    s.wait_stream(gpunn.cuda.current_stream())
    with gpunn.cuda.stream(s):
        y = (x * 2).sum()
        done = s.record_event()
    gpunn.cuda.current_stream().wait_event(done)
    assert (y + 1).item() == 31
    done.synchronize()
    s.synchronize()
    assert s.query()
    assert done.query()


def test_the_time_between_events():
    start, end = E(enable_timing=True), E(enable_timing=True)
    assert repr(start) == "<gpunn.cuda.Event uninitialized>"
    assert start.device is None
    assert start.query()
    start.record()
    gpunn.ones(4, device="cuda").exp()
    end.record(gpunn.cuda.current_stream())
    end.synchronize()
    assert start.elapsed_time(end) >= 0
    assert start.device == gpunn.device("cuda:0")
    assert repr(start) == f"<gpunn.cuda.Event {start.cuda_event:#x}>"


def test_events_without_a_time():
    timed, plain, fresh = E(enable_timing=True), E(), E(enable_timing=True)
    timed.record()
    plain.record()
    with pytest.raises(ValueError, match="must be created with argument 'enable_timing=True'"):
        timed.elapsed_time(plain)
    with pytest.raises(ValueError, match="must be recorded before calculating elapsed time"):
        timed.elapsed_time(fresh)
    with pytest.raises(ValueError, match="interprocess event has no timing"):
        E(enable_timing=True, interprocess=True)


def test_waiting_for_an_event_that_never_was_recorded():
    E().wait()
    E().synchronize()
    assert E().cuda_event == 0
