"""Tensor: what Python, NumPy, pickle and scripts ask of it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import gpunn

# Each is evaluated with t = PyTorch and t = gpunn: the same text, or the same error.
PROGRAMS = """
t.tensor([1, 2, 3]) == None
t.tensor([1, 2, 3]) != None
1 in t.tensor([1, 2])
t.tensor(5) in t.tensor([1, 2])
len(t.zeros(3, 2))
len(t.tensor(1))
[x.item() for x in t.arange(3)]
list(t.tensor(1))
bool(t.tensor([0])), bool(t.tensor(2.5))
bool(t.tensor([1, 2]))
bool(t.tensor([]))
int(t.tensor(3.7)), float(t.tensor([2]))
int(t.tensor([1, 2]))
t.tensor([1, 2]).item()
t.tensor(2.5).item(), t.tensor(True).item(), t.tensor([[7]]).item()
t.arange(4).reshape(2, 2).tolist(), t.tensor(3).tolist()
t.ones(1, requires_grad=True).numpy()
np.asarray(t.ones(1, requires_grad=True))
t.ones(1, requires_grad=True).detach().numpy()
t.ones(1, requires_grad=True).numpy(force=True)
np.asarray(t.tensor([1, 2])), np.array(t.tensor([1., 2]), dtype='f8')
np.float64(2) * t.tensor([1.])
t.tensor([1., 2]) + [1, 2]
[1, 2] + t.tensor([1., 2])
t.tensor([1, 2]) @ 3
3 @ t.tensor([1, 2])
range(5)[t.tensor(2)], [1, 2, 3][t.tensor(1)]
[1, 2, 3][t.tensor(1.)]
hex(t.tensor(10))
str(t.tensor(3)), '{:d}'.format(t.tensor(3))
abs(t.tensor(-2)), -t.tensor([1]), +t.tensor([1]), ~t.tensor([True]), ~t.tensor([1])
divmod(7, 2), 7 // t.tensor([2.]), 7 % t.tensor([4]), 2 ** t.tensor([1, 2])
t.ones(2, 3).shape, t.ones(2, 3).size(1), t.ones(2, 3).ndim, t.ones(2, 3).nelement()
t.ones(2, 3).T.shape, t.ones(2, 3).mT.shape, t.ones(2, 3).t().shape
t.ones(3).mT
t.ones(2, 3).device, t.ones(2).is_cuda, t.ones(2).dtype, t.ones(2).itemsize, t.ones(2).nbytes
t.ones(2).to(t.int8), t.ones(2).to('cpu', t.float64), t.ones(2).to(device='cpu', dtype=t.int64)
t.ones(2).to(t.zeros(1, dtype=t.int16)), t.ones(2).type(t.int32)
t.ones(2).int(), t.ones(2).bool(), t.ones(2).half(), t.ones(2).byte(), t.ones(2).char()
t.ones(2).short(), t.ones(2).long(), t.ones(2).double(), t.ones(2).float()
t.tensor([1.7, -1.7]).int(), t.tensor([300.]).byte(), t.tensor([-1.]).byte()
x = t.zeros(3); x += 1; x *= 4; x -= 1; x /= 2; x //= 1; x **= 2; x %= 3; x
x = t.ones(3, dtype=t.int64); x /= 2; x
x = t.ones(3, dtype=t.int64); x += 1.5; x
x = t.tensor([True]); x &= False; x |= True; x ^= True; x
x = t.tensor([1]); x <<= 3; x >>= 1; x
x = t.zeros(3); x.add_(1).mul_(3).sub_(1).div_(2); x
x = t.zeros(3); x.fill_(t.tensor(2.)); x
x = t.zeros(3); x.fill_(t.ones(2)); x
x = t.zeros(3); x.copy_(t.tensor([1, 2, 3])); x
x = t.zeros(3); x.copy_(t.ones(2)); x
x = t.zeros(3); x.copy_(t.ones(2, 3)); x
x = t.zeros(3); x.add_(t.ones(2, 3)); x
x = t.arange(3.); x.clamp_(0.5, 1.5); x
x = t.arange(6).reshape(2, 3); a, b = x; b
x = t.ones(2, requires_grad=True); y = x * 2; y.is_leaf, x.is_leaf, y.detach().is_leaf
x = t.ones(2, requires_grad=True); x.detach_().requires_grad
t.ones(2).requires_grad_().detach().requires_grad
pickle.loads(pickle.dumps(t.arange(3)))
pickle.loads(pickle.dumps(t.ones(2, requires_grad=True)))
copy.deepcopy(t.ones(2, requires_grad=True))
copy.deepcopy(t.ones(2, requires_grad=True) * 2)
x = t.ones(2); x.foo = [1]; copy.deepcopy(x).foo, pickle.loads(pickle.dumps(x)).foo
x = t.ones(2); m = copy.deepcopy([x, x]); m[0] is m[1]
x = t.zeros(2, requires_grad=True); x.grad = t.ones(2); copy.deepcopy(x).grad
x = t.nn.Parameter(t.ones(2)); copy.deepcopy(x)
x = t.nn.Parameter(t.ones(2)); pickle.loads(pickle.dumps(x))
reversed(t.arange(3)), sorted(t.tensor([3, 1, 2])), sum(t.tensor([1, 2])), max(t.tensor([1, 2]))
t.arange(3.).clamp_min(1), t.arange(3.).clamp_max(1), t.ones(2, 3).swapaxes(0, 1).shape
t.is_tensor(t.ones(1)), t.is_tensor(1), t.numel(t.ones(2, 3)), t.is_floating_point(t.ones(1))
t.pi, t.inf, t.nan
"""


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # PyTorch's
@pytest.mark.parametrize("program", PROGRAMS.strip().splitlines())
def test_as_pytorch(program: str):
    torch = pytest.importorskip("torch")
    *steps, last = [part.strip() for part in program.split(";")]
    outcomes: list[Any] = []
    for t in (torch, gpunn):
        names = {"t": t, "np": np, "copy": copy, "pickle": pickle}
        try:
            exec("\n".join(steps), names)
            outcomes.append(repr(eval(last, names)).replace("torch.", "gpunn."))
        except Exception as error:
            outcomes.append(error)
    expected, got = outcomes
    if isinstance(expected, Exception):
        assert isinstance(got, type(expected)), (got, expected)
        assert str(got)[:40] == str(expected).replace("torch", "gpunn")[:40]
    else:
        assert got == expected


def test_casts_that_change_nothing_return_the_tensor_itself():
    x = gpunn.ones(2)
    for same in (x.to("cpu"), x.to(gpunn.float32), x.float(), x.cpu(), x.contiguous(), x.to(x)):
        assert same is x
    assert x.to(gpunn.float32, copy=True) is not x


def test_casts_have_gradients():
    x = gpunn.ones(2, requires_grad=True)
    (x.double() * gpunn.tensor([1.0, 2.0], dtype=gpunn.float64)).half().sum().backward()
    assert x.grad is not None
    assert (x.grad.tolist(), x.grad.dtype) == ([1, 2], gpunn.float32)


def test_numpy_shares_memory():
    x = gpunn.zeros(3)
    x.numpy()[0] = 1
    np.asarray(x)[1] = 2
    assert x.tolist() == [1, 2, 0]
    assert x.data is x.numpy()
    assert x.data_ptr() == x.numpy().ctypes.data
    assert np.array(x, copy=True) is not x.numpy()


def test_tensors_are_keys_by_identity():
    x, y = gpunn.ones(1), gpunn.ones(1)
    assert len({x: 1, y: 2}) == 2


def test_subclasses_and_attributes():
    class Special(gpunn.Tensor):
        pass

    x = Special([1.0, 2.0])
    x.note = "kept"  # type: ignore[attr-defined]
    y = pickle.loads(pickle.dumps(gpunn.tensor([x.sum().item()])))
    assert y.tolist() == [3]
    z = copy.deepcopy(x)
    assert type(z) is Special
    assert z.note == "kept"  # type: ignore[attr-defined]
    assert not np.shares_memory(z.numpy(), x.numpy())


def test_copies_of_results_are_refused():
    x = gpunn.ones(2, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        pickle.dumps(x)


def test_a_view_of_readonly_memory_is_read_only():
    array = np.zeros(3)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        gpunn.from_numpy(array).add_(1)
