"""Reverse-mode differentiation: ``backward`` and ``grad``, by a walk over the recorded graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from gpunn.autograd.gradients import accumulate, own
from gpunn.autograd.node import Edge
from gpunn.autograd.variable import Variable, after_accumulation, wrap
from gpunn.autograd.walk import Walk, key_of
from gpunn.backends import type2backend

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Tensors: TypeAlias = "Tensor | Sequence[Tensor]"


def backward(
    tensors: Tensors,
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add d(tensors)/d(leaf) to ``.grad`` of every leaf (or of ``inputs`` alone).

    ``grad_tensors`` are the gradients of ``tensors``, which may be left out for scalars. The graph
    is freed on the way unless ``retain_graph`` (default: ``create_graph``); with ``create_graph``
    the gradients are themselves part of a graph. Raises RuntimeError where nothing requires grad,
    or the graph was freed already.
    """
    wanted = None if inputs is None else _sequence(inputs)
    if wanted is not None and not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    walk = Walk(create_graph, wanted)
    with walk:
        walk.run(_roots(tensors, grad_tensors), _keep(retain_graph, create_graph))
        if wanted is None:
            arrived = list(walk.leaves.values())
        else:
            found = {key_of(x): x for x in wanted if not x.retains_grad}  # who does has it by now
            arrived = [(x, *walk.captured[key]) for key, x in found.items() if key in walk.captured]
        for leaf, gradient, owned in arrived:
            accumulate(leaf, gradient, owned, create_graph)
            if id(leaf) in after_accumulation:
                for hook in list(after_accumulation[id(leaf)].values()):
                    if hook(leaf) is not None:
                        raise RuntimeError("Tensor post accumulate grad hooks should return None.")


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    *,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``; touches no ``.grad``.

    ``only_inputs`` stands in PyTorch's list of arguments, where it long has no effect.

    An input that the outputs do not depend on gives None with ``allow_unused``, zeros with
    ``materialize_grads``, and otherwise raises RuntimeError.
    """
    wanted = _sequence(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, "
            "but got: allow_unused=False."
        )
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    walk = Walk(create_graph, wanted)
    with walk:
        walk.run(_roots(outputs, grad_outputs), _keep(retain_graph, create_graph))
    gradients: list[Tensor | None] = []
    for i, x in enumerate(wanted):
        found = walk.captured.get(key_of(x))
        if found is not None:
            gradient, owned = found
            gradients.append(gradient if create_graph else wrap(own(gradient, owned)))
            walk.captured[key_of(x)] = gradient, False  # who asks twice gets two arrays
        elif materialize_grads:
            gradients.append(wrap(type2backend[type(x._data)].zeros_like(x._data)))
        elif allow_unused:
            gradients.append(None)
        else:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used in the "
                "graph. Set allow_unused=True if this is the desired behavior."
            )
    return tuple(gradients)


def _keep(retain_graph: bool | None, create_graph: bool) -> bool:
    return create_graph if retain_graph is None else retain_graph


def _sequence(tensors: Tensors) -> tuple[Tensor, ...]:
    return (tensors,) if isinstance(tensors, Variable) else tuple(tensors)


def _roots(
    tensors: Tensors, gradients: Tensor | Sequence[Tensor | None] | None
) -> list[tuple[Edge, Tensor]]:
    """Where the walk starts: each output's edge and gradient."""
    outputs = _sequence(tensors)
    if gradients is None:
        given: tuple[Tensor | None, ...] = (None,) * len(outputs)
    else:
        given = (gradients,) if isinstance(gradients, Variable) else tuple(gradients)
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients")
    roots: list[tuple[Edge, Tensor]] = []
    for i, (output, gradient) in enumerate(zip(outputs, given, strict=True)):
        if not output.requires_grad:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn"
            )
        data = output._data
        if gradient is None:
            if data.size != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            gradient = wrap(type2backend[type(data)].ones_like(data))
        elif gradient._data.shape != data.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {gradient.shape} and "
                f"output[{i}] has a shape of {output.shape}."
            )
        elif gradient._data.dtype != data.dtype:
            gradient = gradient.type_as_numpy(data.dtype)
        fn = output.grad_fn
        roots.append((output if fn is None else (fn, output._output_nr), gradient))
    return roots
