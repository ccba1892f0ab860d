"""Two devices: which is current, where tensors lie, copies between them, and mixing them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn.backends import Backend


@pytest.fixture(autouse=True)
def _two(cuda: Backend) -> None:
    if gpunn.cuda.device_count() < 2:
        pytest.skip("this machine has one CUDA device")


def test_the_current_device():
    assert gpunn.cuda.current_device() == 0
    with gpunn.cuda.device(1):
        assert gpunn.cuda.current_device() == 1
        assert gpunn.zeros(2, device="cuda").device == gpunn.device("cuda:1")
        with gpunn.cuda.device("cuda:0"):
            assert gpunn.zeros(2, device="cuda").device == gpunn.device("cuda:0")
        with gpunn.cuda.device(None), gpunn.cuda.device(-1):
            assert gpunn.cuda.current_device() == 1
    assert gpunn.cuda.current_device() == 0
    gpunn.cuda.set_device(gpunn.device("cuda", 1))
    try:
        gpunn.cuda.set_device(-1)
        assert gpunn.cuda.current_device() == 1
    finally:
        gpunn.cuda.set_device(0)


def test_the_current_device_is_of_a_thread():
    seen: list[int] = []

    def work() -> None:
        gpunn.cuda.set_device(1)
        seen.append(gpunn.cuda.current_device())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [1]
    assert gpunn.cuda.current_device() == 0


def test_where_results_lie():
    x = gpunn.arange(6.0, device="cuda:1").reshape(2, 3).requires_grad_()
    y = gpunn.nn.functional.softmax(x @ x.t().exp(), 1).sum() * 3 + gpunn.tensor(1.0)
    assert y.device == x.device == gpunn.device("cuda:1")
    y.backward()
    assert x.grad is not None
    assert x.grad.device == x.device
    assert gpunn.rand_like(x).device == x.device
    assert gpunn.cuda.current_device() == 0


def test_copies_between_devices():
    x = gpunn.randn(4, 5)
    a = x.to("cuda:0")
    b = a.to("cuda:1")
    assert b.device == gpunn.device("cuda:1")
    assert gpunn.equal(b.cpu(), x)
    assert gpunn.equal(a.t()[1:].to("cuda:1").cpu(), x.t()[1:])
    assert b.to("cuda:1") is b
    assert b.cuda(1) is b
    assert b.cuda("cuda:0").device == a.device
    assert b.to(a).device == a.device
    a.zero_()
    assert gpunn.equal(b.cpu(), x)
    assert gpunn.equal(a.copy_(b).cpu(), x)
    assert a.device == gpunn.device("cuda:0")


def test_cuda_alone_means_the_current_device():
    x = gpunn.ones(2, device="cuda:1")
    assert x.to("cuda").device == gpunn.device("cuda:0")
    assert x.cuda().device == gpunn.device("cuda:0")
    with gpunn.cuda.device(1):
        assert x.to("cuda") is x


def test_a_copy_waits_for_both_devices(cuda: Backend, monkeypatch: pytest.MonkeyPatch):
    """The one that made the array before the copy; whoever uses its memory next, after it."""
    x = gpunn.ones(3, device="cuda:1")
    calls: list[tuple[str, int]] = []
    stream = cuda.xp.cuda.Stream

    class Spy(stream):  # type: ignore[misc, valid-type]
        def record(self, event: Any = None) -> Any:
            calls.append(("record", self.number))
            return super().record(event)

        def wait_event(self, event: Any) -> None:
            calls.append(("wait", self.number))
            super().wait_event(event)

    spies: list[Any] = []
    for number in range(2):
        with cuda.xp.cuda.Device(number):
            spies.append(Spy(non_blocking=True))
            spies[-1].number = number
    monkeypatch.setattr(
        cuda.xp.cuda,
        "get_current_stream",
        lambda index=-1: spies[gpunn.cuda.current_device() if index < 0 else index],
    )
    y = x.to("cuda:0")
    assert calls == [("record", 1), ("wait", 0), ("record", 0), ("wait", 1)]
    assert y.tolist() == [1.0] * 3


def test_the_gradient_goes_back_to_where_it_came_from():
    x = gpunn.ones(3, device="cuda:1", requires_grad=True)
    (x.to("cuda:0") * 2).sum().backward()
    assert x.grad is not None
    assert x.grad.device == x.device
    assert x.grad.tolist() == [2.0] * 3


def test_two_devices_in_one_operation():
    a, b = gpunn.ones(2, 2, device="cuda:0"), gpunn.ones(2, 2, device="cuda:1")
    for name, function in (
        ("add", lambda: a + b),
        ("matmul", lambda: a @ b),
        ("cat", lambda: gpunn.cat([a, b])),
        ("where", lambda: gpunn.where(a > 0, a, b)),
    ):
        with pytest.raises(
            RuntimeError,
            match="Expected all tensors to be on the same device, but found at least two devices, "
            rf"cuda:[01] and cuda:[01]! \({name}",
        ):
            function()


def test_modules_and_optimizers_on_the_second_device():
    model = gpunn.nn.Sequential(gpunn.nn.Linear(3, 4), gpunn.nn.ReLU(), gpunn.nn.Linear(4, 2))
    twin = gpunn.nn.Sequential(gpunn.nn.Linear(3, 4), gpunn.nn.ReLU(), gpunn.nn.Linear(4, 2))
    twin.load_state_dict(model.state_dict())
    twin.to("cuda:1")
    x = gpunn.randn(5, 3)
    for net, data in ((model, x), (twin, x.to("cuda:1"))):
        optimizer = gpunn.optim.Adam(net.parameters())
        gpunn.nn.functional.cross_entropy(
            net(data), gpunn.tensor([0, 1, 0, 1, 1]).to(data.device)
        ).backward()
        optimizer.step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert q.device == gpunn.device("cuda:1")
        np.testing.assert_allclose(q.detach().cpu().numpy(), p.detach().numpy(), rtol=1e-5)


def test_the_device_of_a_tensor():
    with gpunn.cuda.device_of(gpunn.zeros(1, device="cuda:1")):
        assert gpunn.cuda.current_device() == 1
        with gpunn.cuda.device_of(gpunn.zeros(1)):
            assert gpunn.cuda.current_device() == 1
    assert gpunn.cuda.current_device() == 0


def test_what_a_device_is():
    found = gpunn.cuda.get_device_properties(1)
    assert found.name == gpunn.cuda.get_device_name("cuda:1")
    assert (found.major, found.minor) == gpunn.cuda.get_device_capability(1)
    assert found.total_memory > 0
    assert gpunn.cuda.is_bf16_supported()
    assert gpunn.cuda.is_bf16_supported(including_emulation=False) == (found.major >= 8)
    assert gpunn.cuda.can_device_access_peer(0, 1) in (True, False)
    with pytest.raises(RuntimeError, match="there is no device cuda:9; this machine has cuda:0, "):
        gpunn.cuda.get_device_properties(9)


def test_memory_is_counted_by_device():
    before = [gpunn.cuda.memory_allocated(n) for n in range(2)]
    x = gpunn.zeros(256, device="cuda:1")
    assert gpunn.cuda.memory_allocated(0) == before[0]
    assert gpunn.cuda.memory_allocated(1) == before[1] + 1024
    del x


def test_streams_are_of_a_device():
    s = gpunn.cuda.Stream("cuda:1")
    assert s.device == gpunn.device("cuda:1")
    with gpunn.cuda.stream(s):
        assert gpunn.cuda.current_device() == 1
        assert gpunn.cuda.current_stream() == s
        assert gpunn.cuda.current_stream(0) == gpunn.cuda.default_stream(0)
        assert gpunn.ones(3, device="cuda").sum().item() == 3
    assert gpunn.cuda.current_device() == 0
    assert gpunn.cuda.current_stream(1) == gpunn.cuda.default_stream(1)
    event = s.record_event()
    with pytest.raises(RuntimeError, match="Event device 1 does not match recording stream's dev"):
        event.record(gpunn.cuda.current_stream(0))


def test_pinned_copies_to_the_second_device():
    x = gpunn.arange(4.0).pin_memory()
    y = x.to("cuda:1", non_blocking=True)
    back = y.to("cpu", non_blocking=True)
    gpunn.cuda.synchronize("cuda:1")
    assert gpunn.equal(back, x)


def test_saved_on_the_second_device():
    import pickle

    x = gpunn.ones(2, device="cuda:1")
    assert pickle.loads(pickle.dumps(x)).device == x.device
