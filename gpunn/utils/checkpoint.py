"""Checkpoints: intermediate results are not kept for backward, but computed a second time.

T. Chen et al., "Training deep nets with sublinear memory cost", 2016. What the operations inside
save is packed as a number; the first that backward needs runs the function again and has them all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

from gpunn.autograd.casting import autocast_state
from gpunn.autograd.function import keep_input
from gpunn.autograd.grad_mode import enable_grad, thread
from gpunn.autograd.graph import saved_tensors_hooks
from gpunn.autograd.packing import Packed
from gpunn.autograd.variable import Variable
from gpunn.random import default_generator

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(RuntimeError):
    """A function did not save the same tensors when it ran again."""


class _Enough(Exception):  # noqa: N818  (no error: all is there)
    pass


_early_stop = True


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Generator[None]:
    """Inside, whether functions stop when all that backward needs was computed again."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


def noop_context_fn() -> Contexts:
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


class _Frame:
    """One call: how to run it again, and what that has brought back so far."""

    def __init__(
        self, run: Callable[..., Any], values: list[Any], preserve_rng_state: bool
    ) -> None:
        self.run = run
        # Within another checkpoint its hooks keep the arguments. Versions tell of later changes.
        self.values = [keep_input(v) if isinstance(v, Variable) else v for v in values]
        self.versions = [v._version if isinstance(v, Variable) else 0 for v in self.values]
        self.random = default_generator.get_state() if preserve_rng_state else None
        self.autocast = autocast_state.enabled
        self.context: AbstractContextManager[Any] = contextlib.nullcontext()
        self.early_stop = self.check = True
        self.like: list[Any] = []  # of each tensor that was saved: shape and dtype
        self.found: dict[int, Any] = {}

    def pack(self, tensor: Any) -> int:
        """A number for what an operation of the first run saves."""
        self.like.append((tensor.size(), tensor.dtype))
        return len(self.like) - 1

    def unpack(self, i: int) -> Any:
        """The ``i``-th of the saved tensors; each is had once from one run."""
        if i not in self.found:
            self.again()
        return self.found.pop(i)

    def again(self) -> None:
        """Run the function as it was run before, and take what it saves."""
        self.found = {}
        random = default_generator.get_state()
        before, caching = autocast_state.enabled, autocast_state.caching
        autocast_state.switch(self.autocast)
        autocast_state.caching = False
        if self.random is not None:
            default_generator.set_state(self.random)
        try:
            with enable_grad(), saved_tensors_hooks(self.take, _refuse), self.context:
                self.run(*self.arguments())
        except _Enough:
            pass
        finally:
            autocast_state.switch(before)
            autocast_state.caching = caching
            if self.random is not None:
                default_generator.set_state(random)
        if len(self.found) < len(self.like):
            raise CheckpointError(
                "gpunn.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\n"
                f"Number of tensors saved during forward: {len(self.like)}\n"
                f"Number of tensors saved during recomputation: {len(self.found)}"
            )

    def take(self, tensor: Any) -> None:
        i = len(self.found)
        if i == len(self.like):
            raise CheckpointError(
                "gpunn.utils.checkpoint: trying to save more tensors during recomputation than "
                "during the original forward pass."
            )
        if self.check and self.like[i] != (tensor.size(), tensor.dtype):
            (size, dtype), now = self.like[i], tensor
            raise CheckpointError(
                "gpunn.utils.checkpoint: Recomputed values for the following tensors have "
                "different metadata than during the forward pass.\n"
                f"tensor at position {i}:\nsaved metadata: {{'shape': {size}, 'dtype': {dtype}}}\n"
                f"recomputed metadata: {{'shape': {now.size()}, 'dtype': {now.dtype}}}"
            )
        self.found[i] = tensor.detach()
        if self.early_stop and _early_stop and len(self.found) == len(self.like):
            raise _Enough

    def arguments(self) -> list[Any]:
        given: list[Any] = []
        for value, version in zip(self.values, self.versions, strict=True):
            if isinstance(value, Packed):
                value = value.unpacked(None)
            elif isinstance(value, Variable) and value._version != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: an argument of a checkpoint, {list(value._data.shape)}, "
                    f"is at version {value._version}; expected version {version} instead"
                )
            given.append(value)
        return given


def _refuse(packed: Any) -> Any:
    raise RuntimeError("what a checkpoint computes again has no backward of its own")


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, that keeps its arguments alone of what backward needs.

    Backward runs the function again, up to the last tensor needed (``early_stop``), with the same
    random numbers (``preserve_rng_state``) and under the autocast of the first run. ``context_fn``
    gives a context for each of the two. ``determinism_check="none"`` does not compare the shapes
    and dtypes of the second run to those of the first.

    There is one way, PyTorch's ``use_reentrant=False``; with True, what PyTorch refuses then is
    refused (ValueError). ``debug`` is accepted. Raises CheckpointError, a RuntimeError, where the
    second run saves other tensors.
    """
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], but got {determinism_check}"
        )
    first, second = context_fn()
    if not thread.mode.enabled:
        with first:
            return function(*args, **kwargs)
    names, n = list(kwargs), len(args)

    def run(*values: Any) -> Any:
        return function(*values[:n], **dict(zip(names, values[n:], strict=True)))

    frame = _Frame(run, [*args, *kwargs.values()], preserve_rng_state)
    frame.context, frame.early_stop = second, early_stop
    frame.check = determinism_check == "default"
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    *,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """The functions (or a ``Sequential``) one after the other, in ``segments`` checkpoints.

    The last segment runs without one, as its backward follows at once. Raises ValueError for more
    segments than functions.
    """
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    steps = list(functions.children() if hasattr(functions, "children") else functions)
    size = len(steps) // segments

    def part(start: int, stop: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for step in steps[start:stop]:
                x = step(x)
            return x

        return forward

    last = size * (segments - 1)
    for start in range(0, last, size):
        input = checkpoint(
            part(start, start + size),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
    return part(last, len(steps))(input)
