"""How a name is held to PyTorch: calls, their outcome in either library, and what must agree."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

import gpunn


class Call(NamedTuple):
    """Arguments; arrays among them, however deep, become tensors of the library at hand."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        shown = [_shown(a) for a in self.args]
        return ", ".join([*shown, *(f"{k}={_shown(v)}" for k, v in self.kwargs.items())])


def call(*args: Any, **kwargs: Any) -> Call:
    return Call(args, kwargs)


class DType(NamedTuple):
    """A dtype by name, for either library."""

    name: str


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        odd = "" if value.flags.c_contiguous else " strided"
        return f"{value.dtype}{list(value.shape)}{odd}"
    if isinstance(value, (list, tuple)) and not isinstance(value, DType):
        return f"({', '.join(map(_shown, value))})"
    return value.name if isinstance(value, DType) else repr(value)


def tensors(lib: Any, value: Any, leaves: list[Any]) -> Any:
    """``value`` with its arrays as tensors; float64 ones require gradients and join ``leaves``."""
    if isinstance(value, np.ndarray):
        tensor = lib.from_numpy(value.copy("K"))
        if value.dtype == np.float64:
            leaves.append(tensor.requires_grad_())
        return tensor
    if isinstance(value, DType):
        return getattr(lib, value.name)
    if isinstance(value, (list, tuple)):
        return type(value)(tensors(lib, v, leaves) for v in value)
    return value


class Outcome(NamedTuple):
    """Results in order (arrays or plain values) and their gradients, or the error instead."""

    results: list[Any]
    error: Exception | None


# What PyTorch says where it has no second derivative; we may.
_LACKS = "_backward.* not implemented|Expected a proper Tensor but got None .or an undefined Tensor"


def outcome(lib: Any, function: Any, given: Call) -> Outcome:
    """Call it, follow the gradients of float64 inputs twice, and see what it changed in place."""
    leaves: list[Any] = []
    try:
        args = tensors(lib, given.args, leaves)
        kwargs = {k: tensors(lib, v, leaves) for k, v in given.kwargs.items()}
        results = list(flat(function(*args, **kwargs)))
        found = [host(r) for r in [*results, *_changed(given, args, kwargs)]]
        roots = [r for r in results if _differentiable(r)]
        # As many entries in either library: a gradient that is missing is None, as is a zero one.
        first = gradients(lib, roots, leaves)
        again = [g for g in first if g is not None and g.requires_grad]
        found += map(nonzero, first)
        try:
            found += map(nonzero, gradients(lib, again, leaves))
        except RuntimeError as error:
            if not re.search(_LACKS, str(error)):
                raise
            return Outcome(found, None)
    except Exception as error:
        return Outcome([], error)
    return Outcome(found, None)


def _changed(given: Call, args: Any, kwargs: Any) -> list[Any]:
    """The tensors among the arguments that no longer hold what they were given."""
    before = flat([*given.args, *given.kwargs.values()])
    after = flat([*args, *kwargs.values()])
    pairs = [(a, t) for a, t in zip(before, after, strict=True) if isinstance(a, np.ndarray)]
    return [t for a, t in pairs if not np.array_equal(a, host(t), equal_nan=a.dtype.kind == "f")]


def gradients(lib: Any, roots: list[Any], leaves: list[Any]) -> list[Any]:
    """Of a weighted sum, so that no gradient cancels."""
    if not roots:
        return [None] * len(leaves)
    total = sum((r * _weights(lib, r)).sum() for r in roots)
    return list(lib.autograd.grad(total, leaves, create_graph=True, allow_unused=True))


def _weights(lib: Any, r: Any) -> Any:
    # Of the dtype of the root: what it is multiplied by must not promote it.
    array = np.cos(np.arange(r.numel(), dtype=np.float64)).reshape(tuple(r.shape))
    return lib.from_numpy(array).to(r.dtype)


def _differentiable(value: Any) -> bool:
    return hasattr(value, "requires_grad") and value.requires_grad


def flat(value: Any) -> Iterator[Any]:
    if (
        isinstance(value, (list, tuple))
        and not hasattr(value, "numel")
        and type(value) is not DType
    ):
        for v in value:
            yield from flat(v)
    else:
        yield value


def host(value: Any) -> Any:
    """An array, or the text of what is none."""
    if hasattr(value, "detach"):
        value = value.detach()
        wide = value.float() if str(value.dtype).endswith("bfloat16") else value
        return wide.clone().cpu().numpy()  # PyTorch's gradients may be zeros that are no array
    return str(value).replace("torch.", "gpunn.")


def nonzero(gradient: Any) -> Any:
    array = None if gradient is None else host(gradient)
    return None if array is None or not (abs(array) > 1e-12).any() else array


# Of the coarsest float among arguments and results; integers are computed with as float32.
TOLERANCE = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-7}


def _bound(given: Call, results: list[Any]) -> float:
    every = [*flat([*given.args, *given.kwargs.values()]), *results]
    arrays = [a for a in every if isinstance(a, np.ndarray)]
    named = [a.name for a in every if isinstance(a, DType)]
    return max(
        (TOLERANCE.get(n, 2e-5) for n in (*named, *(a.dtype.name for a in arrays))), default=0
    )


def disagreement(name: str, function: Any, peer: Any, given: Call) -> str | None:
    """What differs between ``function`` (gpunn's) and ``peer`` (PyTorch's); None where all agrees.

    Both refuse, with the same kind of exception and PyTorch's sentence first, or both compute the
    same dtypes, shapes, values, gradients and second gradients.
    """
    import torch

    ours, theirs = outcome(gpunn, function, given), outcome(torch, peer, given)
    return compared(f"{name}({given}): ", ours, theirs, given)


def compared(what: str, ours: Outcome, theirs: Outcome, given: Call) -> str | None:
    """What differs between two outcomes, said of ``what``; as exact as what was ``given``."""
    if theirs.error is not None or ours.error is not None:
        return _refusals(what, ours.error, theirs.error)
    if len(ours.results) < len(theirs.results):
        return f"{what}{len(ours.results)} results and gradients, PyTorch {len(theirs.results)}"
    for i, (a, b) in enumerate(zip(ours.results, theirs.results, strict=False)):
        if not isinstance(b, np.ndarray) or not isinstance(a, np.ndarray):
            if (a is None and b is None) or (isinstance(a, str) and isinstance(b, str) and a == b):
                continue
            return f"{what}result {i} is {a!r}, PyTorch's {b!r}"
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{what}result {i} is {_shown(a)}, PyTorch's {_shown(b)}"
        bound = _bound(given, theirs.results) if b.dtype.kind == "f" else 0
        if b.size and not np.allclose(a, b, rtol=bound, atol=bound, equal_nan=True):
            return f"{what}result {i} is\n{a}\nPyTorch's\n{b}"
    return None


def _first(error: Exception) -> str:
    """Its first sentence, up to a remark or a value, without the name of a function or kernel."""
    text = re.sub(r'^([\w.]+(\([\w.]*\):?|:)|"\w+") ', "", str(error).replace("torch.", "gpunn."))
    text = text.replace(".nn.modules.", ".nn.")
    return re.split(r"\n| [({]|: |(?<=[.!?]) ", text)[0]


_OWN = {"_LinAlgError": gpunn.linalg.LinAlgError}  # PyTorch's own kinds of exceptions


def _refusals(what: str, ours: Exception | None, theirs: Exception | None) -> str | None:
    if theirs is None:
        return f"{what}{ours!r}, while PyTorch computes"
    if ours is None:
        return f"{what}PyTorch raises {theirs!r}"
    # A wrong argument is a TypeError in PyTorch's parser, but a RuntimeError in its scripts.
    kinds: Any = (RuntimeError, NotImplementedError)
    if type(theirs) is not RuntimeError:
        kinds = _OWN.get(type(theirs).__name__, type(theirs))
    if not isinstance(ours, kinds):
        return f"{what}{ours!r}, PyTorch: {theirs!r}"
    # What PyTorch's parser of arguments says of them all is its own; Python says what is missing.
    parser = "received an invalid combination" in str(theirs) or "() missing " in str(theirs)
    if not parser and not _first(ours).startswith(_first(theirs)):
        return f"{what}{ours!r}, PyTorch: {theirs!r}"
    return None


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """Where neither library's warnings count, nor NumPy's."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def agree(found: Iterable[str | None]) -> None:
    """Fail with every disagreement of ``found``, among which None stands for agreement."""
    with unwarned():
        texts = list(found)
    wrong = [text for text in texts if text is not None]
    assert not wrong, f"{len(wrong)} of {len(texts)} disagree:\n" + "\n".join(wrong)
