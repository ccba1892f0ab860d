"""The list of copies and waits: complete, by the simulator's own count, and each at its line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpunn
import gpunn.sim
from gpunn.backends import Backend
from gpunn.nn import functional as F


def line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


@pytest.mark.usefixtures("cuda")
def test_each_is_listed_with_its_line():
    x, host = gpunn.ones(3, 4, device="cuda"), gpunn.zeros(5)
    start = line()
    with gpunn.cuda.transfers() as found:
        x.sum().item()
        host.to("cuda")
        x.cpu()
        gpunn.cuda.synchronize()
        if x.sum() > 3:
            x = x * 2 + 1  # no copy
    expected = [
        ("device to host", 4, True, 2),
        ("host to device", 20, False, 3),
        ("device to host", 48, True, 4),
        ("synchronize", 0, True, 5),
        ("device to host", 1, True, 6),
    ]
    assert [(t.kind, t.bytes, t.blocking, t.line - start) for t in found] == expected
    assert {t.file for t in found} == {__file__}
    assert found[0].code == "x.sum().item()"
    assert str(found).split("\n")[3] == (
        f"{__file__}:{start + 5}: synchronize, nothing, waits: gpunn.cuda.synchronize()"
    )
    assert str(found[0]).endswith(": device to host, 4 bytes, waits: x.sum().item()")


@pytest.mark.usefixtures("cuda")
def test_nothing_is_listed_outside():
    x = gpunn.ones(3, device="cuda")
    with gpunn.cuda.transfers() as found:
        pass
    x.cpu()
    assert not found
    with gpunn.cuda.transfers() as outer, gpunn.cuda.transfers() as inner:
        x.cpu()
    assert len(outer) == len(inner) == 1
    with pytest.raises(ZeroDivisionError), gpunn.cuda.transfers() as found:
        _ = 1 // 0
    x.cpu()
    assert not found


@pytest.mark.usefixtures("no_driver")
def test_empty_without_cuda():
    with gpunn.cuda.transfers() as found:
        gpunn.ones(2).sum().item()
    assert found == []


CASES: dict[str, Callable[[Any], Any]] = {
    "numbers": lambda x: (x[0, 0].item(), float(x[0, 1]), bool(x.any()), int(x[1, 1])),
    "lists": lambda x: (x.tolist(), repr(x), x.cpu(), x.numpy(force=True)),
    "from lists": lambda x: gpunn.tensor([[1.0, 2.0]], device="cuda"),
    "from a number": lambda x: gpunn.tensor(1.0, device="cuda"),
    "from arrays": lambda x: gpunn.tensor(np.ones((3, 2)), device="cuda"),
    "made there": lambda x: gpunn.arange(5, device="cuda") + gpunn.full((5,), 2, device="cuda"),
    "indices": lambda x: x[[0, 1]],
    "masks": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
    "assignment": lambda x: x.__setitem__((slice(None), 0), 3.0),
    "an array assigned": lambda x: x.__setitem__(0, np.zeros(4, np.float32)),
    "pinned": lambda x: (gpunn.ones(6).pin_memory().to("cuda", non_blocking=True), x.sum()),
    "pinned back": lambda x: x.to("cpu", non_blocking=True),
    "an index checked": lambda x: F.embedding(gpunn.zeros_like(x).long(), x).sum().item(),
    "equal": lambda x: gpunn.equal(x, x),
    "arithmetic": lambda x: ((x + 1) * x / 3.0).exp().sum(0).max(),
    "a gradient": lambda x: (x.detach().requires_grad_() ** 2).sum().backward(),
}


@pytest.mark.parametrize("name", CASES)
def test_complete_by_the_simulators_count(
    cuda: Backend, monkeypatch: pytest.MonkeyPatch, name: str
):
    if not gpunn.sim.installed():
        pytest.skip("a GPU does not count its copies")
    from gpunn.sim import runtime

    counted: list[tuple[str, int]] = []
    copy = runtime._copy

    def count(to: int, source: int, size: int, *rest: Any) -> Any:
        there, here = runtime._owner(to) is not None, runtime._owner(source) is not None
        if size and there != here:
            counted.append(("host to device" if there else "device to host", size))
        return copy(to, source, size, *rest)

    x = gpunn.arange(12.0, device="cuda").reshape(3, 4)
    CASES[name](x.clone())  # compiles what it takes
    x = gpunn.arange(12.0, device="cuda").reshape(3, 4)
    with monkeypatch.context() as patch, gpunn.cuda.transfers() as found:
        patch.setattr(runtime, "_copy", count)
        CASES[name](x)
    assert [(t.kind, t.bytes) for t in found if t.kind != "synchronize"] == counted


@pytest.mark.usefixtures("cuda")
def test_streams_and_events_wait():
    event = gpunn.cuda.current_stream().record_event()
    with gpunn.cuda.transfers() as found:
        gpunn.cuda.current_stream().synchronize()
        event.synchronize()
    assert [(t.kind, t.blocking) for t in found] == [("synchronize", True)] * 2


@pytest.mark.usefixtures("cuda")
def test_a_training_step_copies_nothing_but_what_is_asked_for():
    def step() -> gpunn.Tensor:
        optimizer.zero_grad(set_to_none=False)
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    layers = gpunn.nn.Linear(4, 8), gpunn.nn.ReLU(), gpunn.nn.Linear(8, 3)
    model = gpunn.nn.Sequential(*layers).cuda()
    optimizer = gpunn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, target = gpunn.randn(5, 4).cuda(), gpunn.tensor([0, 1, 2, 0, 1]).cuda()
    for _ in range(2):  # the optimizer copies a table of addresses where they are new
        step()
    with gpunn.cuda.transfers() as found:
        loss = step()
        assert not found, str(found)
        loss.item()
    assert [t.kind for t in found] == ["device to host"] * 2  # the record of indices, the loss


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.masked_fill(x > 1, 0.0),
        lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], is_causal=True),
        lambda x: F.dropout(F.gelu(F.layer_norm(x, (4,)))),
        lambda x: F.binary_cross_entropy(x.sigmoid(), (x > 1).float()),
        lambda x: F.max_pool2d(F.conv2d(x[None, None], x[None, None, :2, :2]), 2),
        lambda x: x.std() + x.norm() + x.max(1)[0].sum() + x.argmax(1).sum() % 3,
        lambda x: F.batch_norm(x, None, None, training=True).sort(1)[0],
    ],
)
@pytest.mark.usefixtures("cuda")
def test_what_needs_no_answer_does_not_wait(work: Callable[[Any], Any]):
    x = gpunn.arange(12.0, device="cuda").reshape(3, 4).requires_grad_()
    work(x).sum().backward()
    with gpunn.cuda.transfers() as found:
        work(x).sum().backward()
    assert not found, str(found)
