"""The calls of the table in their other forms: as methods, in place, into ``out=``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
from conformance.calls import Call, disagreement, outcome, unwarned
from conformance.compared import COMPARED
from conformance.tensor_calls import CALLS

import gpunn

torch: Any = pytest.importorskip("torch")
NAMES = [n for n in CALLS if "." not in n and not n.endswith("_") and hasattr(gpunn, n)]
# In place PyTorch leaves the gradient of the first as it was, though the values are others; what
# the last detaches is no change of values.
UNTOUCHED = ("logical_and", "logical_not", "logical_or", "logical_xor", "detach")
# Where PyTorch computes but its gradient fails, while ours does not.
GRADIENTS_LACK = ("the derivative for 'inplace version of", "addmv input tensors must have")


def _both(form: str) -> list[str]:
    """The names that both libraries have as methods of this ``form``."""
    kinds = (gpunn.Tensor, torch.Tensor)
    return [n for n in NAMES if all(callable(getattr(k, form.format(n), None)) for k in kinds)]


def _of_tensors(name: str) -> list[Call]:
    """The calls whose first argument is a tensor."""
    return [c for c in CALLS[name] if c.args and isinstance(c.args[0], np.ndarray)]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with unwarned():
        yield


@pytest.mark.parametrize("name", _both("{}"))
def test_as_a_method(name: str) -> None:
    def method(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, name)(*args, **kwargs)

    seen = COMPARED.get(name, lambda f: f)(method)
    wrong = [disagreement(name, seen, seen, given) for given in _of_tensors(name)]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("name", [n for n in _both("{}_") if n not in UNTOUCHED])
def test_in_place(name: str) -> None:
    def change(x: Any, *args: Any, **kwargs: Any) -> Any:
        y = x.clone()
        before = y._version
        assert getattr(y, f"{name}_")(*args, **kwargs) is y
        assert y._version > before
        return y

    seen = COMPARED.get(name, lambda f: f)(change)
    for given in _of_tensors(name):
        theirs = outcome(torch, seen, given)
        if theirs.error is None:
            if name == "addbmm" and theirs.results[0].shape != given.args[0].shape:
                continue  # PyTorch resizes it, where addmm and baddbmm refuse
            text = disagreement(f"{name}_", seen, seen, given)
            assert text is None, text
        elif not any(text in str(theirs.error) for text in GRADIENTS_LACK):
            error = outcome(gpunn, seen, given).error
            kinds = (RuntimeError, TypeError, IndexError, ValueError, NotImplementedError)
            assert isinstance(error, kinds), f"{name}_({given}): PyTorch raises {theirs.error!r}"


@pytest.mark.parametrize("name", _both("{}_"))
def test_in_place_of_a_leaf(name: str) -> None:
    def change(x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, f"{name}_")(*args, **kwargs)

    doubles = [c for c in _of_tensors(name) if c.args[0].dtype == np.float64]
    for given in doubles[:3]:
        theirs = outcome(torch, change, given)
        if str(theirs.error).startswith("a leaf Variable that requires grad"):
            text = disagreement(f"{name}_", change, change, given)
            assert text is None, text


def _into(lib: Any, name: str) -> Callable[..., Any]:
    """The function, with ``out`` of the results' dtypes and without elements."""
    function = attrgetter(name)(lib)

    def call(*args: Any, **kwargs: Any) -> Any:
        with lib.no_grad():
            plain = function(*args, **kwargs)
            parts = [plain] if hasattr(plain, "dtype") else list(plain)
            outs = tuple(lib.empty(0, dtype=p.dtype) for p in parts)
            function(*args, **kwargs, out=outs[0] if hasattr(plain, "dtype") else outs)
        return outs

    return call


def _takes_out(name: str) -> bool:
    if not hasattr(torch, name) and not name.startswith("linalg."):
        return False
    with unwarned():
        into = _into(torch, name)
        return any(outcome(torch, into, c).error is None for c in CALLS[name][:5])


LINALG = [n for n in CALLS if n.startswith("linalg.")]


@pytest.mark.parametrize(
    "name", [n for n in [*NAMES, *LINALG] if n not in COMPARED and _takes_out(n)]
)
def test_into_out(name: str) -> None:
    ours, theirs = _into(gpunn, name), _into(torch, name)
    for given in CALLS[name]:
        if outcome(torch, theirs, given).error is None:
            text = disagreement(f"{name} into out", ours, theirs, given)
            assert text is None, text
