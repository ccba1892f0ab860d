"""Indices out of range on a device: no wait where they are used, an IndexError at the next one."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn import Tensor
from gpunn.backends import Backend, type2backend
from gpunn.nn import functional as F

CPU = type2backend[np.ndarray]


def on_device(values: Any) -> Tensor:
    return gpunn.tensor(values, device="cuda")


def table() -> Tensor:
    return gpunn.arange(12.0, device="cuda").reshape(4, 3)


CASES: list[tuple[str, str, Callable[[], Any]]] = [
    (
        "embedding",
        r"index out of range in self: embedding got 9, expected 0 <= index < 4 \(embedding on ",
        lambda: F.embedding(on_device([1, 9]), table()),
    ),
    (
        "gather",
        r"index 3 is out of bounds for dimension 1 with size 3 \(gather on cuda:0, element 2;",
        lambda: table().gather(1, on_device([[0, 1, 3]])),
    ),
    (
        "scatter_add",
        r"index -1 is out of bounds for dimension 0 with size 4 \(scatter_add on ",
        lambda: table().scatter_add(0, on_device([[0, -1, 2]]), table()[:1]),
    ),
    (
        "index_select",
        r"index out of range in self: index_select got 7, expected 0 <= index < 4 \(index_s",
        lambda: table().index_select(0, on_device([7, 0])),
    ),
    (
        "cross_entropy",
        r"Target 5 is out of bounds\. \(cross_entropy on cuda:0, element 1; found there, and",
        lambda: F.cross_entropy(table(), on_device([0, 5, -100, 2])),
    ),
    (
        "indexing",
        r"index -4 is out of bounds for dimension 1 with size 3 \(indexing on ",
        lambda: table()[:, on_device([0, -3, -4])],
    ),
    (
        "assignment",
        r"index 4 is out of bounds for dimension 0 with size 4 \(index_put on ",
        lambda: table().__setitem__(on_device([4]), 0.0),
    ),
    (
        "index_add",
        r"index 4 is out of bounds for dimension 0 with size 4 \(index_add on ",
        lambda: table().index_add(0, on_device([4]), table()[:1]),
    ),
    (
        "index_fill",
        r"index 4 is out of bounds for dimension 0 with size 4 \(index_fill on ",
        lambda: table().index_fill(0, on_device([4]), 1.0),
    ),
]


@pytest.mark.parametrize(("text", "use"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
@pytest.mark.usefixtures("cuda")
def test_the_error_comes_where_the_host_waits(text: str, use: Callable[[], Any]):
    used = use()  # says nothing yet
    with pytest.raises(IndexError, match=text) as raised:
        gpunn.ones(1, device="cuda").item()
    assert "raised at the next synchronization" in str(raised.value)
    del used
    assert gpunn.ones(1, device="cuda").item() == 1  # said once; the device goes on
    gpunn.cuda.synchronize()


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: x.sum().item(),
        lambda x: float(x[0]),
        lambda x: bool(x[0] > 0),
        lambda x: repr(x),
        lambda x: x.numpy(force=True),
        lambda x: gpunn.cuda.synchronize(),
        lambda x: gpunn.cuda.current_stream().synchronize(),
    ],
)
@pytest.mark.usefixtures("cuda")
def test_wherever_the_host_waits(wait: Callable[[Tensor], Any]):
    F.embedding(on_device([0, 4]), table())
    with pytest.raises(IndexError, match="embedding got 4"):
        wait(gpunn.ones(3, device="cuda"))


@pytest.mark.parametrize(
    "use",
    [
        lambda x, i: x.t()[i[0]],
        lambda x, i: F.embedding(i, x.t()),
        lambda x, i: x.gather(1, i),
        lambda x, i: x.scatter(1, i, 1.0),
        lambda x, i: x.index_select(1, i[0]),
        lambda x, i: x.index_fill(1, i[0], 1.0),
    ],
)
@pytest.mark.usefixtures("cuda")
def test_where_there_is_nothing_to_index_the_error_comes_at_once(use: Callable[..., Any]):
    said: list[str] = []
    for device in ("cpu", "cuda"):
        with pytest.raises((IndexError, RuntimeError)) as raised:
            use(
                gpunn.zeros(2, 0, device=device),
                gpunn.zeros(1, 1, dtype=gpunn.int64, device=device),
            )
        said.append(str(raised.value))
    assert said[0] == said[1]
    gpunn.cuda.synchronize()


@pytest.mark.usefixtures("cuda")
def test_the_first_error_is_told():
    F.embedding(on_device([0, 4]), table())
    table().gather(1, on_device([[8]]))
    with pytest.raises(IndexError, match="embedding got 4"):
        gpunn.cuda.synchronize()
    gpunn.cuda.synchronize()


@pytest.mark.usefixtures("cuda")
def test_of_a_stream_of_its_own():
    s = gpunn.cuda.Stream()
    with gpunn.cuda.stream(s):
        F.embedding(on_device([0, 4]), table())
    assert gpunn.ones(1, device="cuda").item() == 1  # another stream's affair
    with pytest.raises(IndexError, match="embedding got 4"):
        s.synchronize()
    with gpunn.cuda.stream(s):
        assert gpunn.ones(1, device="cuda").item() == 1
        F.embedding(on_device([0, 4]), table())
    with pytest.raises(IndexError, match="embedding got 4"):
        gpunn.cuda.synchronize()


@pytest.mark.usefixtures("cuda")
def test_right_indices_are_silent():
    assert F.embedding(on_device([0, 3]), table())[1].tolist() == [9.0, 10.0, 11.0]
    assert table()[on_device([-4, 3]), on_device([2, -3])].tolist() == [2.0, 9.0]
    loss = F.cross_entropy(table(), on_device([0, -100, 1, 2]))
    expected = F.cross_entropy(table().cpu(), gpunn.tensor([0, -100, 1, 2]))
    assert loss.item() == pytest.approx(expected.item())
    assert F.embedding(gpunn.zeros(0, dtype=gpunn.int64, device="cuda"), table()).shape == (0, 3)
    gpunn.cuda.synchronize()


@pytest.mark.usefixtures("cuda")
def test_a_context_that_fails_keeps_its_own_error():
    F.embedding(on_device([0, 4]), table())
    with pytest.raises(RuntimeError, match="a Tensor with 2 elements cannot be converted"):
        gpunn.ones(2, device="cuda").item()
    with pytest.raises(IndexError):
        gpunn.cuda.synchronize()


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16"])
@pytest.mark.parametrize("n", [1, 255, 257, 3000, 300_000])
def test_the_first_position_is_found(cuda: Any, dtype: str, n: int):
    """Whatever block finishes last: also where many indices are wrong."""
    index = np.zeros(n, dtype)
    places = np.random.default_rng(n).integers(0, n, 5)
    index[places] = np.arange(5, 10)
    cuda.check_indices("test", cuda.from_numpy(index), 0, 5, "value {value} not below {high}")
    with pytest.raises(IndexError) as raised:
        gpunn.cuda.synchronize()
    first = int(places.min())
    assert f"value {index[first]} not below 5 (test on cuda:0, element {first};" in str(
        raised.value
    )


def test_what_is_ignored(cuda: Any):
    for backend in (CPU, cuda):
        index = backend.from_numpy(np.array([0, -100, 2]))
        backend.check_indices("test", index, 0, 3, "{value}", ignored=-100)
        backend.check_indices("test", index[:0], 0, 3, "{value}")
    gpunn.cuda.synchronize()


def test_the_cpu_raises_at_once():
    with pytest.raises(ValueError, match=r"^got -100, expected 0 to 3$"):
        CPU.check_indices(
            "test", np.array([0, -100]), 0, 3, "got {value}, expected {low} to {high}", ValueError
        )


def test_no_synchronisation_where_indices_are_used(cuda: Backend, monkeypatch: pytest.MonkeyPatch):
    index, target, x = on_device([0, 3, 1]), on_device([0, 1, 2, 1]), table()
    gc.collect()

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("a copy to the host")

    with monkeypatch.context() as patch:
        patch.setattr(cuda.xp.ndarray, "get", fail)
        loss = F.cross_entropy(x, target) + F.embedding(index, x).sum() + x[index].sum()
        loss = loss + x.gather(0, target[None, :3]).sum() + x.index_select(0, index).sum()
    assert np.isfinite(loss.item())


@pytest.mark.parametrize(
    ("use", "error", "text"),
    [
        (
            lambda: F.binary_cross_entropy(on_device([0.5, 1.5]), on_device([1.0, 0.0])),
            RuntimeError,
            r"^all elements of input should be between 0 and 1 \(binary_cross_entropy on cuda:0,",
        ),
        (lambda: on_device([4, 2]) % on_device([2, 0]), RuntimeError, r"^ZeroDivisionError \(rem"),
        (
            lambda: F.gaussian_nll_loss(on_device([1.0]), on_device([1.0]), on_device([-1.0])),
            ValueError,
            r"^var has negative entry/entries \(gaussian_nll_loss on cuda:0, element 0; found",
        ),
        (lambda: gpunn.bernoulli(on_device([0.5, -0.5])), RuntimeError, "^Expected p_in >= 0"),
        (
            lambda: gpunn.normal(0.0, on_device([-1.0])),
            RuntimeError,
            "^normal expects all elements",
        ),
    ],
)
@pytest.mark.usefixtures("cuda")
def test_other_values_that_an_operation_refuses(use: Any, error: type[Exception], text: str):
    with gpunn.cuda.transfers() as found:
        use()
    assert [t for t in found if t.kind != "host to device"] == []
    with pytest.raises(error, match=text):
        gpunn.cuda.synchronize()


@pytest.mark.parametrize(
    "use",
    [
        lambda x: F.embedding(on_device([1, 9, -2]), x),
        lambda x: x.gather(0, on_device([[0, 1, 7], [-5, 2, 1]])),
        lambda x: x[on_device([0, -9, 4]), on_device([2, 1, 8])],
        lambda x: x.index_select(1, on_device([7, 0])),
        lambda x: x.scatter_add(1, on_device([[5, -1, 0]]), x[:1] * 2),
        lambda x: x.scatter(1, on_device([[5, -1, 0]]), x[:1] * 2),
        lambda x: x.index_add(0, on_device([9, 1]), x[:2] * 2),
        lambda x: F.cross_entropy(x, on_device([0, 5, -7, 2])),
        lambda x: F.nll_loss(x, on_device([0, 5, -7, 2]), x[0].detach()),
        lambda x: F.embedding(on_device([1, 9, -2]), x, padding_idx=1, scale_grad_by_freq=True),
    ],
)
@pytest.mark.usefixtures("cuda")
def test_no_access_out_of_bounds_follows(use: Callable[[Tensor], Tensor]):
    """Forward and backward go on with elements that exist; the simulator looks at each access."""
    x = table().requires_grad_()
    use(x).sum().backward()
    assert x.grad is not None
    with pytest.raises(IndexError, match=r"out of (range|bounds)"):
        gpunn.cuda.synchronize()
    assert x.grad.shape == (4, 3)
    assert x.grad.tolist() != []
