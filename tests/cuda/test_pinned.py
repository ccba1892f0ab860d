"""Page-locked memory, and copies that are under way when the call returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn.backends import Backend


@pytest.mark.usefixtures("cuda")
def test_pinned_copies():
    x = gpunn.arange(12.0).reshape(3, 4)
    y = x.t().pin_memory()
    assert y.is_pinned()
    assert not x.is_pinned()
    assert y[1:].t().is_pinned()
    assert not (y * 1).is_pinned()
    assert y.pin_memory() is y
    assert y.is_contiguous()
    assert gpunn.equal(x.t(), y)
    assert gpunn.zeros(0, 3).pin_memory().shape == (0, 3)
    x.requires_grad_()
    x.pin_memory().sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1.0] * 4] * 3


@pytest.mark.usefixtures("cuda")
def test_only_cpu_tensors_are_pinned():
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        gpunn.zeros(2, device="cuda").pin_memory()
    assert not gpunn.zeros(2, device="cuda").is_pinned()


@pytest.mark.usefixtures("no_driver")
def test_pinning_needs_cuda():
    assert not gpunn.zeros(2).is_pinned()
    with pytest.raises(RuntimeError, match=r"^CUDA is not available: "):
        gpunn.zeros(2).pin_memory()


@pytest.mark.parametrize("dtype", [gpunn.float32, gpunn.float16, gpunn.int64, gpunn.bool])
@pytest.mark.usefixtures("cuda")
def test_there_and_back(dtype: Any):
    x = gpunn.arange(24).reshape(4, 6).to(dtype).pin_memory()
    for source in (x, x.t(), x[1:, ::2], x[0, 0], x[:0]):
        for send in (
            lambda t: t.to("cuda", non_blocking=True),
            lambda t: t.to("cuda", None, True),
            lambda t: t.cuda(non_blocking=True),
            lambda t: gpunn.empty(t.shape, dtype=dtype, device="cuda").copy_(t, non_blocking=True),
        ):
            there = send(source)
            assert there.is_cuda
            back = there.to("cpu", non_blocking=True)
            gpunn.cuda.synchronize()
            assert back.is_pinned() == (back.numel() > 0)
            assert gpunn.equal(back, source)


@pytest.mark.usefixtures("cuda")
def test_a_gradient_crosses_too():
    x = gpunn.ones(3).pin_memory().requires_grad_()
    (x.to("cuda", non_blocking=True) * 2).sum().backward()
    gpunn.cuda.synchronize()
    assert x.grad is not None
    assert x.grad.device == gpunn.device("cpu")
    assert x.grad.tolist() == [2.0] * 3


class SlowEvent:
    """An event of a copy that is done when the test says so."""

    done = False


def test_the_host_memory_lives_until_the_copy_is_done(
    cuda: Backend, monkeypatch: pytest.MonkeyPatch
):
    from gpunn.backends.device import pinned

    class Stream:
        def __init__(self) -> None:
            self.ptr = 0

        def record(self, event: Any) -> SlowEvent:
            return SlowEvent()

    monkeypatch.setattr(pinned, "_under_way", type(pinned._under_way)())
    with monkeypatch.context() as patch:
        patch.setattr(cuda.xp.cuda, "get_current_stream", Stream)
        source = pinned.copy(np.arange(5.0))
        address = source.ctypes.data
        copied = pinned.to_device(source)
        del source
        for _ in range(3):  # the pool must not hand this memory on while it is read
            assert pinned.copy(np.zeros(5)).ctypes.data != address
        ((event, kept),) = pinned._under_way
        assert kept.ctypes.data == address
        event.done = True
        del kept, event
    pinned.to_device(pinned.copy(np.zeros(3)))
    assert address not in [a.ctypes.data for _, a in pinned._under_way]
    assert copied.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.usefixtures("cuda")
def test_a_module_moves_without_blocking():
    layer = gpunn.nn.Linear(2, 3)
    assert layer.to("cuda", non_blocking=True).weight.is_cuda
