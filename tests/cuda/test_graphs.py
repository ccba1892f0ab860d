"""CUDA graphs: captured work, done again on new inputs; random numbers that go on; refusals."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn import Tensor
from gpunn.backends import Backend
from gpunn.cuda import CUDAGraph, graph
from gpunn.nn import functional as F

pytestmark = pytest.mark.usefixtures("cuda")


def test_captured_work_is_done_by_a_replay():
    x = gpunn.arange(4.0, device="cuda")
    (x * 2 + 1).sum()
    g = CUDAGraph()
    assert not gpunn.cuda.is_current_stream_capturing()
    with graph(g):
        assert gpunn.cuda.is_current_stream_capturing()
        y = x * 2 + 1
        total = y.sum()
    assert not gpunn.cuda.is_current_stream_capturing()
    g.replay()
    assert total.item() == 16
    x.copy_(gpunn.tensor([1.0, 1.0, 0.0, 0.0]))
    g.replay()
    assert y.tolist() == [3.0, 3.0, 1.0, 1.0]
    assert total.item() == 8


def test_on_a_stream_that_is_given():
    x, s, g = gpunn.ones(3, device="cuda"), gpunn.cuda.Stream(), CUDAGraph()
    with graph(g, stream=s, capture_error_mode="relaxed"):
        assert gpunn.cuda.current_stream() == s
        y = x + 1
    assert gpunn.cuda.current_stream() == gpunn.cuda.default_stream()
    with gpunn.cuda.stream(gpunn.cuda.Stream()):
        g.replay()
        assert y.tolist() == [2.0] * 3


def test_begun_and_ended_by_hand():
    x, g = gpunn.ones(3, device="cuda"), CUDAGraph()
    with gpunn.cuda.stream(gpunn.cuda.Stream()):
        g.capture_begin()
        y = x + 1
        g.capture_end()
        g.replay()
        assert y.tolist() == [2.0] * 3


# Memory ------------------------------------------------------------------------------------------


def test_results_keep_their_memory():
    x, g = gpunn.ones(1000, device="cuda"), CUDAGraph()
    with graph(g):
        y = ((x + 1) * 2).exp()
    g.replay()
    others = [gpunn.full((1000,), float(n), device="cuda") for n in range(20)]
    g.replay()
    assert y[0].item() == pytest.approx(np.exp(4.0))
    assert [other.sum().item() for other in others] == [1000.0 * n for n in range(20)]


def test_results_outlive_the_graph():
    x, g = gpunn.ones(1000, device="cuda"), CUDAGraph()
    with graph(g):
        y = x + 1
    g.replay()
    del g
    gc.collect()
    others = [gpunn.full((1000,), float(n), device="cuda") for n in range(20)]
    assert y.sum().item() == 2000
    del others


def test_memory_is_given_back():
    x = gpunn.ones(1000, device="cuda")
    gc.collect()
    key = "reserved_bytes.all.current"
    held, before = gpunn.cuda.memory_allocated(), gpunn.cuda.memory_stats()[key]
    g = CUDAGraph()
    with graph(g):
        y = (x + 1) * 2
    assert gpunn.cuda.memory_stats()[key] > before
    del y
    g.reset()
    gc.collect()
    assert gpunn.cuda.memory_stats()[key] == before
    # What a graph leaves: the record of its stream's indices.
    assert gpunn.cuda.memory_allocated() <= held + 2048


def test_graphs_may_share_memory():
    x = gpunn.ones(1000, device="cuda")
    first, second, third = CUDAGraph(), CUDAGraph(), CUDAGraph()
    with graph(first):
        y = x + 1
    with graph(second, pool=first.pool()):
        z = y * 2
    assert second.pool() is first.pool()
    pool = gpunn.cuda.graph_pool_handle()
    with graph(third, pool):
        w = z + x
    assert third.pool() is pool
    for g in (first, second, third):
        g.replay()
    assert w.sum().item() == 5000


def test_page_locked_copies_are_captured():
    host, x, g = gpunn.arange(3.0).pin_memory(), gpunn.zeros(3, device="cuda"), CUDAGraph()
    with graph(g):
        x.copy_(host, non_blocking=True)
        back = (x * 2).to("cpu", non_blocking=True)
    for number in range(3):
        host += number
        g.replay()
        gpunn.cuda.synchronize()
        assert gpunn.equal(back, host * 2)
    del host
    for _ in range(5):  # what the graph reads is not given out again
        gpunn.full((3,), -1.0).pin_memory()
    g.replay()
    gpunn.cuda.synchronize()
    assert back.tolist() == [6.0, 8.0, 10.0]


def test_single_numbers_need_no_copy():
    x, g = gpunn.ones(3, device="cuda"), CUDAGraph()
    with graph(g):
        y = x + gpunn.tensor(2.0, device="cuda")
    g.replay()
    assert y.tolist() == [3.0] * 3


# Random numbers ----------------------------------------------------------------------------------


def test_replays_draw_what_calls_would():
    def draw() -> list[Tensor]:
        x = gpunn.ones(3, 50, device="cuda")
        return [
            F.dropout(x, 0.5),
            F.dropout1d(x[None], 0.4),
            gpunn.rand(7, device="cuda"),
            gpunn.randn(5, device="cuda"),
            gpunn.randint(9, (6,), device="cuda"),
            x.clone().bernoulli_(0.3),
        ]

    draw()
    gpunn.manual_seed(5)
    expected = [[t.cpu() for t in draw()] for _ in range(3)]
    after = gpunn.rand(2)
    gpunn.manual_seed(77)
    before = gpunn.get_rng_state()
    g = CUDAGraph()
    with graph(g):
        drawn = draw()
    assert gpunn.equal(gpunn.get_rng_state(), before)  # nothing was drawn yet
    gpunn.manual_seed(5)
    for wanted in expected:
        g.replay()
        assert all(gpunn.equal(a.cpu(), b) for a, b in zip(drawn, wanted, strict=True))
    assert gpunn.equal(gpunn.rand(2), after)
    assert not gpunn.equal(expected[0][0], expected[1][0])


def test_dropout_is_the_same_forward_and_backward():
    x = gpunn.ones(200, device="cuda", requires_grad=True)

    def step() -> Tensor:
        x.grad = None
        y = F.dropout(x, 0.5)
        y.sum().backward()
        return y

    step()
    g = CUDAGraph()
    with graph(g):
        y = step()
    masks: list[Any] = []
    for _ in range(3):
        g.replay()
        assert x.grad is not None
        assert x.grad.tolist() == y.tolist()
        masks.append(tuple(y.tolist()))
    assert len(set(masks)) == 3


def test_a_graph_without_draws_takes_no_numbers():
    x, g = gpunn.ones(3, device="cuda"), CUDAGraph()
    with graph(g):
        _ = x + 1
    before = gpunn.get_rng_state()
    with gpunn.cuda.transfers() as found:
        g.replay()
    assert not found
    assert gpunn.equal(gpunn.get_rng_state(), before)


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (
            lambda: gpunn.rand(3, device="cuda", generator=gpunn.Generator()),
            "Attempt to increase offset for a CUDA generator not in capture mode",
        ),
        (
            lambda: (gpunn.manual_seed(8), gpunn.rand(3, device="cuda")),
            "the random stream was seeded or set back while a CUDA graph captured",
        ),
    ],
)
def test_other_streams_of_random_numbers_are_refused(draw: Any, text: str):
    with pytest.raises(RuntimeError, match=text), graph(CUDAGraph()):
        draw()
    seed, offset = gpunn.initial_seed(), gpunn.random.default_generator._offset
    drawn = gpunn.rand(3, device="cuda")
    gpunn.manual_seed(seed)
    gpunn.random.default_generator.reserve(offset)
    assert gpunn.equal(gpunn.rand(3, device="cuda"), drawn)


def test_seeded_anew_without_a_draw():
    x, g = gpunn.ones(3, device="cuda"), CUDAGraph()
    gpunn.rand(100)
    with graph(g):
        y = x + 1
        gpunn.manual_seed(8)
    g.replay()
    assert y.sum().item() == 6
    drawn = gpunn.rand(3)
    gpunn.manual_seed(8)
    assert gpunn.equal(gpunn.rand(3), drawn)


# What cannot be captured -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: bool(x[0] > 0),
        lambda x: repr(x),
        lambda x: gpunn.tensor([1.0, 2.0], device="cuda"),
        lambda x: gpunn.ones(3).to("cuda"),
        lambda x: gpunn.ones(3, 2).pin_memory().t().to("cuda", non_blocking=True),
    ],
)
def test_copies_and_waits_are_refused(wait: Any):
    x = gpunn.ones(3, device="cuda")
    with (
        pytest.raises(
            RuntimeError, match=r"^CUDA error: operation not permitted when stream is cap"
        ),
        graph(CUDAGraph()),
    ):
        wait(x)
    assert wait(x) is not False  # what failed left nothing behind
    assert not gpunn.cuda.is_current_stream_capturing()


@pytest.mark.parametrize(
    "wait", [gpunn.cuda.synchronize, lambda: gpunn.cuda.current_stream().synchronize()]
)
def test_waiting_loses_the_capture(wait: Any):
    with pytest.raises(RuntimeError, match="StreamCapture"), graph(CUDAGraph()):
        wait()
    assert (gpunn.ones(3, device="cuda") + 1).tolist() == [2.0] * 3


def test_a_failed_capture_leaves_a_graph_that_captures_anew():
    g, x = CUDAGraph(), gpunn.ones(3, device="cuda")
    with pytest.raises(ZeroDivisionError), graph(g):
        _ = 1 // 0
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        g.replay()
    with graph(g):
        y = x + 1
    g.replay()
    assert y.tolist() == [2.0] * 3


def test_wrong_order():
    g, x = CUDAGraph(), gpunn.ones(3, device="cuda")
    with pytest.raises(RuntimeError, match="without a preceding successful capture"):
        g.replay()
    with pytest.raises(RuntimeError, match="must be captured on a non-default stream"):
        g.capture_begin()
    with pytest.raises(RuntimeError, match="Unknown capture error mode"):
        g.capture_begin(capture_error_mode="none")
    with pytest.raises(RuntimeError, match="this CUDAGraph is not capturing"):
        g.capture_end()
    with pytest.raises(RuntimeError, match="has captured nothing yet"):
        g.pool()
    with pytest.raises(RuntimeError, match="captured already"), graph(g):
        CUDAGraph().capture_begin()
    with graph(g):
        _ = x + 1
    with pytest.raises(RuntimeError, match="already owns a captured graph"), graph(g):
        pass
    assert gpunn.cuda.current_stream() == gpunn.cuda.default_stream()


def test_an_index_out_of_range_is_told_after_the_replay():
    index = gpunn.zeros(2, dtype=gpunn.int64, device="cuda")
    table, g = gpunn.ones(4, 3, device="cuda"), CUDAGraph()
    F.embedding(index, table)
    with graph(g):
        found = F.embedding(index, table)
    gpunn.cuda.synchronize()
    g.replay()
    assert found.sum().item() == 6
    index.fill_(9)
    g.replay()
    with pytest.raises(IndexError, match="embedding got 9, expected 0 <= index < 4"):
        found.cpu()
    index.fill_(1)
    g.replay()
    assert found.sum().item() == 6


def test_an_error_from_before_the_capture_is_not_lost():
    s, g, x = gpunn.cuda.Stream(), CUDAGraph(), gpunn.ones(4, 3, device="cuda")
    with gpunn.cuda.stream(s):
        F.embedding(gpunn.tensor([5], device="cuda"), x)
        g.capture_begin()
        _ = x + 1
        g.capture_end()
        with pytest.raises(IndexError, match="embedding got 5"):
            s.synchronize()


def test_constants_made_meanwhile(cuda: Backend):
    from gpunn.backends.device.graphs import constant

    x, g = gpunn.ones(3, device="cuda"), CUDAGraph()
    values = np.arange(3.0, dtype=np.float32)
    with graph(g):
        y = x + gpunn.autograd.function.wrap(constant(values))
    values[:] = 7
    others = [gpunn.full((3,), float(n), device="cuda") for n in range(20)]
    g.replay()
    assert y.tolist() == [1.0, 2.0, 3.0]
    assert len(others) == 20
    assert cuda.to_numpy(constant(values)).tolist() == [7.0] * 3


@pytest.mark.parametrize(
    "work",
    [
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        lambda x: F.interpolate(x, (3, 5)),
        lambda x: F.unfold(x, 2),
    ],
)
def test_tables_made_on_the_host_are_no_part_of_the_capture(work: Any):
    x, g = gpunn.arange(24.0, device="cuda").reshape(1, 1, 4, 6), CUDAGraph()
    work(x)
    with graph(g):
        y = work(x)
    x.copy_(gpunn.rand(1, 1, 4, 6))
    others = [gpunn.full((24,), float(n), device="cuda") for n in range(9)]
    g.replay()
    np.testing.assert_allclose(y.cpu().numpy(), work(x.cpu()).numpy(), rtol=1e-5)
    assert len(others) == 9
