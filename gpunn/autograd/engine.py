"""Reverse-mode differentiation: walk the recorded graph from outputs to leaves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy

from gpunn.autograd import steps
from gpunn.autograd.casting import autocast_state
from gpunn.autograd.function import Edge, Function
from gpunn.autograd.grad_mode import thread
from gpunn.autograd.quiet import IGNORED, reset_errors, set_errors
from gpunn.autograd.variable import (
    Array,
    Hook,
    Variable,
    after_accumulation,
    is_sequence,
    wrap,
)
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, in_use

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Tensors: TypeAlias = "Tensor | Sequence[Tensor]"
Gradient: TypeAlias = "tuple[Tensor, bool]"  # and whether its array is ours alone


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
    walk = _Walk(create_graph, wanted)
    with walk:
        walk.run(_roots(tensors, grad_tensors), _keep(retain_graph, create_graph))
        if wanted is None:
            arrived = list(walk.leaves.values())
        else:
            found = {_key(x): x for x in wanted if not x.retains_grad}  # who does has it by now
            arrived = [(x, *walk.captured[key]) for key, x in found.items() if key in walk.captured]
        for leaf, gradient, owned in arrived:
            _accumulate(leaf, gradient, owned, create_graph)
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
    walk = _Walk(create_graph, wanted)
    with walk:
        walk.run(_roots(outputs, grad_outputs), _keep(retain_graph, create_graph))
    gradients: list[Tensor | None] = []
    for i, x in enumerate(wanted):
        found = walk.captured.get(_key(x))
        if found is not None:
            gradient, owned = found
            gradients.append(gradient if create_graph else wrap(_own(gradient, owned)))
            walk.captured[_key(x)] = gradient, False  # who asks twice gets two arrays
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


class _Walk:
    """One pass over the graph; use it as a context manager, which sets the grad mode.

    A node is younger than every node it leads to, so visiting the youngest pending node first
    meets each one only after all its gradients have arrived. No recursion: depth costs nothing.

    A gradient comes with whether it is owned: whether nobody else can hold its array, so that more
    may be added in place and a leaf may keep it.
    """

    def __init__(self, create_graph: bool, wanted: Sequence[Variable] | None) -> None:
        self.create_graph = create_graph
        self.heap: list[tuple[int, Function]] = []
        # Of nodes, the gradients of each output, and whether they are owned.
        self.pending: dict[Function, tuple[list[Tensor | None], list[bool]]] = {}
        self.leaves: dict[int, tuple[Variable, Tensor, bool]] = {}
        self.wanted = None if wanted is None else {_key(x) for x in wanted}
        self.captured: dict[Any, Gradient] = {}
        self.useful: set[Function] | None = None

    def __enter__(self) -> None:
        self._errors = set_errors(IGNORED)
        self._mode = thread.mode
        self._enabled = self._mode.enabled
        self._mode.enabled = self.create_graph
        self._autocast = autocast_state.enabled if in_use else None
        if self._autocast:  # gradients are computed as forward was
            autocast_state.switch({})

    def __exit__(self, *error: Any) -> None:
        self._mode.enabled = self._enabled
        if self._autocast:
            autocast_state.switch(self._autocast)
        reset_errors(self._errors)

    def run(self, roots: list[tuple[Edge, Tensor]], keep_graph: bool) -> None:
        """Visit every node that the roots lead to (and that leads to an input wanted)."""
        if self.wanted is not None:
            self.useful = self._paths([edge for edge, _ in roots])
        for edge, gradient in roots:
            self._deliver(edge, gradient, False)
        node = None
        try:
            while self.heap:
                node = heappop(self.heap)[1]
                self._visit(node, self.pending.pop(node)[0], keep_graph)
        except Exception as error:
            steps.explain(error, node, [edge for edge, _ in roots])
            raise
        if node is not None and node.sequence < steps.looking.latest:  # the oldest of all
            steps.look([edge for edge, _ in roots])
        for key, (leaf, gradient, owned) in self.leaves.items():
            if leaf.grad_fn is not None:
                raise RuntimeError("leaf variable has been moved into the graph interior")
            if leaf._hooks:
                gradient, owned = _hooked(leaf._hooks, gradient), False
                self.leaves[key] = leaf, gradient, owned
            if self.wanted is not None:
                self.captured[key] = gradient, owned

    def _visit(self, node: Function, dys: list[Tensor | None], keep_graph: bool) -> None:
        """Have ``node`` make of ``dys`` the gradients of its arguments, and hand them on."""
        waited_for = node.waiting is not None or self.wanted is not None
        if (waited_for or len(dys) > 1) and not self._attend(node, dys):
            return
        dxs = _backward(node, dys, self.create_graph)
        if waited_for and node.waiting is not None:
            for hook in list(node.waiting.after.values()):
                dxs = _changed(hook(dxs, tuple(dys)), dxs)
        if node._saved and not keep_graph:
            node._saved = None
        for i, edge in enumerate(node.edges):
            dx = dxs[i]
            if edge is None or dx is None:
                continue
            if not isinstance(dx, Variable):
                raise RuntimeError(
                    f"expected Variable or None (got {type(dx).__name__}) as gradient {i} from "
                    f"{node.name}"
                )
            if self._mode.anomaly:
                _refuse_not_finite(node, i, dx)
            data = dx._data
            owned = node._fresh and data.base is None and _alone(data, i, dys, dxs)
            self._deliver(edge, _conform(node, i, edge, dx), owned)

    def _attend(self, node: Function, dys: list[Tensor | None]) -> bool:
        """See to what waits for the gradients of ``node``; whether to go on from there.

        As in PyTorch, ``grad`` gives what hooks made of a gradient only where it goes no further.
        """
        further = self.useful is None or node in self.useful
        for nr, dy in enumerate(dys):
            if dy is None:
                like = node.outputs[nr]
                if node._materialize and like is not None:
                    dys[nr] = _zeros(*like, dys)
                continue
            captured = dy
            if node.waiting is not None:
                if nr in node.waiting.hooks:
                    dy = dys[nr] = _hooked(node.waiting.hooks[nr], dy)
                reference = node.waiting.retained.get(nr)
                variable = reference and reference()
                if variable is not None:
                    _accumulate(variable, dy, False, self.create_graph)
            if self.wanted is not None and (id(node), nr) in self.wanted:
                self.captured[id(node), nr] = captured if further else dy, False
        if further and node.waiting is not None:
            for hook in list(node.waiting.before.values()):
                dys[:] = _changed(hook(tuple(dys)), tuple(dys))
        return further

    def _deliver(self, edge: Edge, gradient: Tensor, owned: bool) -> None:
        """Add ``gradient`` to what is pending for ``edge``."""
        if type(edge) is not tuple:
            leaf: Any = edge
            key = id(leaf)
            if self.wanted is not None and key not in self.wanted:
                return
            if key in self.leaves:
                gradient, owned = self._add(*self.leaves[key][1:], gradient)
            self.leaves[key] = leaf, gradient, owned
            return
        node, nr = edge
        found = self.pending.get(node)
        if found is None:
            if (
                self.useful is not None
                and node not in self.useful
                and (id(node), nr) not in (self.wanted or ())
            ):
                return
            n = len(node.outputs)
            found = self.pending[node] = [None] * n, [False] * n
            heappush(self.heap, (-node.sequence, node))
        dys, owned_before = found
        before = dys[nr]
        if before is not None:
            gradient, owned = self._add(before, owned_before[nr], gradient)
        dys[nr], owned_before[nr] = gradient, owned

    def _add(self, total: Tensor, owned: bool, gradient: Tensor) -> Gradient:
        if owned and not self.create_graph:
            _add_to(total._data, gradient._data)
            return total, True
        return total + gradient, True

    def _paths(self, roots: list[Edge]) -> set[Function]:
        """The nodes that lead to something wanted."""
        reached: set[Function] = set()
        stack = [edge[0] for edge in roots if not isinstance(edge, Variable)]
        while stack:
            node = stack.pop()
            if node not in reached:
                reached.add(node)
                stack.extend(e[0] for e in node.edges if isinstance(e, tuple))
        useful: set[Function] = set()
        wanted = self.wanted or set()
        for node in sorted(reached, key=lambda n: n.sequence):
            for edge in node.edges:
                if isinstance(edge, Variable):
                    hit = id(edge) in wanted
                elif edge is not None:
                    hit = edge[0] in useful or (id(edge[0]), edge[1]) in wanted
                else:
                    hit = False
                if hit:
                    useful.add(node)
                    break
        return useful


def _backward(node: Function, dys: Sequence[Tensor | None], recording: bool) -> tuple[Any, ...]:
    """What ``node`` makes of its gradients, on their device: at least one for each argument."""
    if len(type2backend) == 1:
        given: Any = node.run_backward(dys, recording)
    else:
        with _beside(dys):
            given = node.run_backward(dys, recording)
    dxs: tuple[Any, ...] = given if given.__class__ is tuple else _tuple(given)
    expected = len(node.edges)
    if len(dxs) != expected and (
        len(dxs) < expected or any(dx is not None for dx in dxs[expected:])
    ):
        raise RuntimeError(
            f"function {node.name} returned an incorrect number of gradients "
            f"(expected {expected}, got {len(dxs)})"
        )
    return dxs


def _tuple(given: Any) -> tuple[Any, ...]:
    return tuple(given) if is_sequence(given) else (given,)


def _beside(dys: Sequence[Tensor | None]) -> AbstractContextManager[Any]:
    """Work inside runs where the gradients lie, on the CPU only if all do."""
    arrays = [dy._data for dy in dys if dy is not None]
    data = next((d for d in arrays if type(d) is not numpy.ndarray), arrays[0])
    return type2backend[type(data)].beside(data)


def _alone(data: Array, i: int, dys: Sequence[Any], dxs: Sequence[Any]) -> bool:
    """Whether none of the other gradients is, or is a view of, ``data``, the i-th of ``dxs``."""
    for dy in dys:
        if dy is not None and dy._data is data:
            return False
    if len(dxs) > 1:
        for j, dx in enumerate(dxs):
            if j != i and dx is not None and (dx._data is data or dx._data.base is data):
                return False
    return True


def _conform(node: Function, i: int, edge: Edge, dx: Any) -> Any:
    """``dx`` summed down to the argument's shape, in the argument's dtype."""
    data = dx._data
    if type(edge) is tuple:
        like: Any = edge[0].outputs[edge[1]]  # None only where nothing leads to
        shape, dtype, array_type = like
    else:
        leaf: Any = edge
        shape, dtype, array_type = leaf._data.shape, leaf._data.dtype, leaf._data.__class__
    if data.shape == shape and data.dtype is dtype and type(data) is array_type:
        return dx
    if data.shape != shape:
        offset = data.ndim - len(shape)
        if offset < 0 or any(
            n not in (1, m) for n, m in zip(shape, data.shape[offset:], strict=True)
        ):
            raise RuntimeError(
                f"Function {node.name} returned an invalid gradient at index {i} - got "
                f"{list(data.shape)} but expected shape compatible with {list(shape)}"
            )
        dx = dx.sum_to_size(shape)
    if data.dtype != dtype:
        dx = dx.type_as_numpy(dtype)
    if type(data) is not array_type:
        raise RuntimeError(
            f"Function {node.name} returned an invalid gradient at index {i} - expected "
            f"device {type2backend[array_type].name} but got {type2backend[type(data)].name}"
        )
    return dx


def _key(x: Variable) -> Any:
    return id(x) if x.grad_fn is None else (id(x.grad_fn), x.output_nr)


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


def _hooked(hooks: OrderedDict[int, Hook], gradient: Tensor) -> Tensor:
    """What ``hooks`` make of a gradient; they may also have kept it, so it is no longer ours."""
    for hook in list(hooks.values()):
        replaced = hook(gradient)
        if replaced is None:
            continue
        if not isinstance(replaced, Variable):
            raise TypeError(f"expected Variable, but hook returned '{type(replaced).__name__}'")
        title = f"hook '{getattr(hook, '__name__', repr(hook))}' has changed the"
        if replaced._data.dtype != gradient._data.dtype:
            raise RuntimeError(
                f"{title} type of value (was {gradient.type()} got {replaced.type()})"
            )
        if replaced._data.shape != gradient._data.shape:
            raise RuntimeError(
                f"{title} size of value: expected {list(gradient._data.shape)}, got "
                f"{list(replaced._data.shape)}"
            )
        gradient = replaced
    return gradient


def _changed(found: Any, before: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradients after a hook of a node."""
    if found is None:
        return before
    after: tuple[Any, ...] = tuple(found) if is_sequence(found) else (found,)
    if len(after) != len(before):
        raise RuntimeError(
            "hook has returned an incorrect number of values "
            f"(got {len(after)}, but expected {len(before)})"
        )
    return after


def _zeros(
    shape: tuple[int, ...], dtype: Any, array_type: type, others: Sequence[Tensor | None]
) -> Tensor:
    """Zeros where the other gradients of the node lie."""
    backend = type2backend[array_type]
    with backend.beside(next(other for other in others if other is not None)._data):
        return wrap(backend.xp.zeros(shape, dtype))


def _own(gradient: Tensor, owned: bool) -> Array:
    """The gradient's array, or a copy unless nobody else can hold it."""
    data = gradient._data
    if owned and data.base is None and data.flags.c_contiguous:
        return data
    return type2backend[type(data)].copy(data)


def _add_to(total: Array, gradient: Array) -> None:
    if type(total) is numpy.ndarray:
        total += gradient
    else:
        with type2backend[type(total)].beside(total):
            total += gradient


def _accumulate(leaf: Variable, gradient: Tensor, owned: bool, create_graph: bool) -> None:
    """Add to ``leaf.grad``, whose array is its own."""
    before = leaf._grad
    if create_graph:
        leaf._grad = gradient.clone() if before is None else before + gradient
    elif before is None:
        leaf._grad = wrap(_own(gradient, owned))
    elif before.requires_grad:
        leaf._grad = (before + gradient).detach()
    else:
        _add_to(before._data, gradient._data)
        before._version_box[0] += 1


def _refuse_not_finite(node: Function, i: int, dx: Variable) -> None:
    backend = type2backend[type(dx._data)]
    if dx._data.dtype.kind not in FLOATING or bool(backend.xp.isfinite(dx._data).all()):
        return
    kind = "nan" if bool(backend.xp.isnan(dx._data).any()) else "infinite"
    where = f"\nForward call:\n{''.join(node.trace.format())}" if node.trace else ""
    raise RuntimeError(f"Function '{node.name}' returned {kind} values in its {i}th output.{where}")
