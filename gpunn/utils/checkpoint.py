"""Checkpoints: intermediate results are not kept for backward, but computed a second time.

T. Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gpunn.autograd.engine import partial
from gpunn.autograd.function import Function, _sequence
from gpunn.autograd.grad_mode import enable_grad, thread
from gpunn.autograd.variable import Variable, is_sequence, wrap
from gpunn.backends import type2backend
from gpunn.random import default_generator

__all__ = ["checkpoint", "checkpoint_sequential"]


class Checkpoint(Function):
    """``outputs``, whose graph is made anew in backward by ``again``, from what they come from."""

    @staticmethod
    def forward(ctx: Any, again: Any, outputs: Any, count: int, *reached: Any) -> Any:
        """The first ``count`` of ``reached`` are the arguments; the rest was found in the graph."""
        ctx.again, ctx.reached = again, reached[count:]
        ctx.save_for_backward(*reached[:count])
        return tuple(y.data for y in outputs)

    @staticmethod
    def backward(ctx: Any, *dys: Any) -> tuple[Any, ...]:
        create_graph = thread.mode.enabled
        inputs = ctx.saved_tensors
        with enable_grad():
            outputs = ctx.again(inputs)
        wanted = [x for x in (*inputs, *ctx.reached) if x.requires_grad]
        pairs = [(y, dy) for y, dy in zip(outputs, dys, strict=True) if y.requires_grad]
        ys, weights = zip(*pairs, strict=True)
        found = iter(partial(ys, wanted, weights, create_graph))
        dxs = [next(found) if x.requires_grad else None for x in (*inputs, *ctx.reached)]
        return None, None, None, *dxs


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, a tensor or a tuple, that keeps only its arguments.

    Backward runs the function again, with the same random numbers (``preserve_rng_state``). What
    it uses besides its arguments, as the weights of a module, gets its gradient too. The other
    options of PyTorch's are accepted: there is one way here, without their differences.
    """
    if not thread.mode.enabled:
        return function(*args, **kwargs)
    start = default_generator.get_state() if preserve_rng_state else None
    places = [i for i, a in enumerate(args) if isinstance(a, Variable)]

    def run(inputs: Any) -> Any:
        given = list(args)
        for i, x in zip(places, inputs, strict=True):
            given[i] = x
        return function(*given, **kwargs)

    def again(inputs: Any) -> list[Any]:
        now = default_generator.get_state()
        if start is not None:
            default_generator.set_state(start)
        try:
            return _tensors(run(inputs))
        finally:
            if start is not None:
                default_generator.set_state(now)

    inputs = [args[i] for i in places]
    begin = next(_sequence)
    # Leaves of their own stand for the arguments while it is found out what else takes part.
    stand_ins = [x.detach().requires_grad_(x.requires_grad) for x in inputs]
    result = run(stand_ins)
    outputs = _tensors(result)
    own = {id(x) for x in stand_ins}
    reached = [x for x in _reached(outputs, begin) if id(x) not in own]
    if not any(y.requires_grad for y in outputs):
        return result
    recorded = iter(
        Checkpoint.apply(again, [y.detach() for y in outputs], len(inputs), *inputs, *reached)
    )
    if isinstance(result, Variable):
        return next(recorded)
    parts = [next(recorded) if isinstance(r, Variable) else r for r in result]
    return type(result)(parts)


def _tensors(result: Any) -> list[Any]:
    parts = result if is_sequence(result) else (result,)
    return [part for part in parts if isinstance(part, Variable)]


def _reached(outputs: list[Any], begin: int) -> Iterator[Any]:
    """The leaves that a graph leads to, and what it takes from nodes made before ``begin``."""
    stack: list[Any] = [y if y.grad_fn is None else (y.grad_fn, y.output_nr) for y in outputs]
    seen: set[Any] = set()
    while stack:
        edge = stack.pop()
        if isinstance(edge, Variable):
            if id(edge) not in seen and edge.requires_grad:
                seen.add(id(edge))
                yield edge
            continue
        node, nr = edge
        if node.sequence < begin:  # the result of something outside: that is as far as this goes
            if (id(node), nr) not in seen:
                seen.add((id(node), nr))
                yield _outside(node, nr)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.extend(e for e in node.edges if e is not None)


def _outside(node: Any, nr: int) -> Any:
    """A variable that stands for an output of ``node``: its place in the graph, not its value."""
    shape, kind, array_type = node.outputs[nr]
    x = wrap(type2backend[array_type].xp.empty((0,) * len(shape), kind))
    x._grad_fn, x._output_nr, x._requires_grad = node, nr, True
    return x


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **options: Any,
) -> Any:
    """The functions (or a ``Sequential``) one after the other, in ``segments`` checkpoints.

    The last segment runs without one, as its backward follows at once.
    """
    steps = list(functions.children() if hasattr(functions, "children") else functions)
    size = len(steps) // segments

    def part(start: int, stop: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for step in steps[start:stop]:
                x = step(x)
            return x

        return forward

    last = size * (segments - 1)
    for start in range(0, last, size or 1):
        input = checkpoint(part(start, start + size), input, **options)
    return part(last, len(steps))(input)
