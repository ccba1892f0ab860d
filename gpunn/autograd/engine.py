"""Reverse-mode differentiation: walk the recorded graph from outputs to leaves."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from gpunn.autograd.function import Function
from gpunn.autograd.grad_mode import quiet, state
from gpunn.autograd.variable import Variable, wrap
from gpunn.backends import type2backend

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Tensors: TypeAlias = "Tensor | Sequence[Tensor]"
Edge: TypeAlias = "tuple[Function, int] | Variable"


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
    walk.run(_roots(tensors, grad_tensors), _keep(retain_graph, create_graph))
    if wanted is None:
        for leaf, gradient, owned in walk.leaves.values():
            _accumulate(leaf, gradient, owned, create_graph)
    else:
        for x in wanted:
            if walk.captured.get(_key(x)) is not None:
                gradient, owned = walk.captured[_key(x)]
                _accumulate(x, gradient, owned, create_graph)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``; touches no ``.grad``.

    An input that the outputs do not depend on gives None with ``allow_unused``, zeros with
    ``materialize_grads``, and otherwise raises RuntimeError.
    """
    wanted = _sequence(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, "
            "but got: allow_unused=False."
        )
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    walk = _Walk(create_graph, wanted)
    walk.run(_roots(outputs, grad_outputs), _keep(retain_graph, create_graph))
    gradients: list[Tensor | None] = []
    for x in wanted:
        found = walk.captured.get(_key(x))
        if found is None and materialize_grads:
            gradients.append(_zeros(x._data.shape, x._data.dtype, x._data))
        elif found is None and not allow_unused:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
        else:
            gradients.append(None if found is None else found[0])
    return tuple(gradients)


class _Walk:
    """One pass over the graph.

    A node is younger than every node it leads to, so visiting the youngest pending node first
    meets each one only after all its gradients have arrived. No recursion: depth costs nothing.
    """

    def __init__(self, create_graph: bool, wanted: Sequence[Variable] | None) -> None:
        self.create_graph = create_graph
        self.heap: list[tuple[int, Function]] = []
        # Per node, per output: the gradient so far and whether its array is ours to overwrite.
        self.pending: dict[Function, list[tuple[Tensor, bool] | None]] = {}
        self.leaves: dict[int, tuple[Variable, Tensor, bool]] = {}
        self.wanted = None if wanted is None else {_key(x) for x in wanted}
        self.captured: dict[Any, tuple[Tensor, bool]] = {}
        self.useful: set[Function] | None = None

    def run(self, roots: list[tuple[Edge, Tensor]], keep_graph: bool) -> None:
        """Visit every node that the roots lead to (and that leads to an input wanted)."""
        if self.wanted is not None:
            self.useful = self._paths([edge for edge, _ in roots])
        before = state.enabled
        state.enabled = self.create_graph
        try:
            with quiet():
                for edge, gradient in roots:
                    self._deliver(edge, gradient, False)
                while self.heap:
                    node = heapq.heappop(self.heap)[1]
                    self._visit(node, self.pending.pop(node), keep_graph)
                for key, (leaf, gradient, owned) in self.leaves.items():
                    for hook in list((leaf._hooks or {}).values()):
                        gradient, owned = _hooked(hook, gradient, owned)
                    self.leaves[key] = leaf, gradient, owned
                    if self.wanted is not None and key in self.wanted:
                        self.captured[key] = gradient, owned
        finally:
            state.enabled = before

    def _visit(
        self, node: Function, found: list[tuple[Tensor, bool] | None], keep_graph: bool
    ) -> None:
        dys: list[Tensor | None] = []
        for nr, entry in enumerate(found):
            if entry is None:
                shape, dtype, array_type = node.outputs[nr]
                like = array_type, node
                dys.append(_zeros(shape, dtype, like) if node._materialize else None)
                continue
            gradient, owned = entry
            if node._hooks is not None:
                for hook in list(node._hooks.get(nr, {}).values()):
                    gradient, owned = _hooked(hook, gradient, owned)
            if node._retained is not None and nr in node._retained:
                variable = node._retained[nr]()
                if variable is not None:
                    _accumulate(variable, gradient, False, self.create_graph)
            if self.wanted is not None and (id(node), nr) in self.wanted:
                self.captured[id(node), nr] = gradient, False
            dys.append(gradient)
        if self.useful is not None and node not in self.useful:
            return
        dxs = node.backward(node, *dys)
        if not isinstance(dxs, (tuple, list)):
            dxs = (dxs,)
        edges = node.edges
        if len(dxs) != len(edges):
            if len(dxs) < len(edges) or any(dx is not None for dx in dxs[len(edges) :]):
                raise RuntimeError(
                    f"function {node.name} returned an incorrect number of gradients "
                    f"(expected {len(edges)}, got {len(dxs)})"
                )
        if not keep_graph:
            node.free()
        for i, (edge, dx) in enumerate(zip(edges, dxs, strict=False)):
            if edge is None or dx is None:
                continue
            if not isinstance(dx, Variable):
                raise TypeError(
                    f"{node.name} returned, as gradient {i}, a {type(dx).__name__}: "
                    "expected Tensor or None"
                )
            if state.anomaly:
                _refuse_not_finite(node, i, dx)
            fresh = (
                node._fresh
                and dx._data.base is None
                and not any(dy is not None and dy._data is dx._data for dy in dys)
                and not any(dx is other for j, other in enumerate(dxs) if j != i)
            )
            self._deliver(edge, self._conform(node, i, edge, dx), fresh)

    def _deliver(self, edge: Edge, gradient: Tensor, owned: bool) -> None:
        """Add ``gradient`` to what is pending for ``edge``."""
        if isinstance(edge, Variable):
            key = id(edge)
            if self.wanted is not None and key not in self.wanted:
                return
            before = self.leaves.get(key)
            if before is not None:
                gradient, owned = self._add(before[1:], gradient)
            self.leaves[key] = edge, gradient, owned
            return
        node, nr = edge
        found = self.pending.get(node)
        if found is None:
            if self.useful is not None and node not in self.useful:
                if (id(node), nr) not in (self.wanted or ()):
                    return
            found = self.pending[node] = [None] * len(node.outputs)
            heapq.heappush(self.heap, (-node.sequence, node))
        entry = found[nr]
        found[nr] = (gradient, owned) if entry is None else self._add(entry, gradient)

    def _add(self, before: tuple[Tensor, bool], gradient: Tensor) -> tuple[Tensor, bool]:
        total, owned = before
        if owned and not self.create_graph:
            total._data += gradient._data
            return total, True
        return total + gradient, True

    def _conform(self, node: Function, i: int, edge: Edge, dx: Tensor) -> Tensor:
        """``dx`` summed down to the argument's shape, in the argument's dtype."""
        if isinstance(edge, Variable):
            shape, dtype, array_type = edge._data.shape, edge._data.dtype, type(edge._data)
        else:
            shape, dtype, array_type = edge[0].outputs[edge[1]]
        if dx._data.shape != shape:
            offset = dx._data.ndim - len(shape)
            if offset < 0 or any(
                n not in (1, m) for n, m in zip(shape, dx._data.shape[offset:], strict=True)
            ):
                raise RuntimeError(
                    f"Function {node.name} returned an invalid gradient at index {i} - got "
                    f"{list(dx._data.shape)} but expected shape compatible with {list(shape)}"
                )
            dx = dx.sum_to_size(shape)
        if dx._data.dtype != dtype:
            dx = dx.type_as_numpy(dtype)
        if type(dx._data) is not array_type:
            raise RuntimeError(
                f"Function {node.name} returned an invalid gradient at index {i} - expected "
                f"device {_device(array_type)} but got {type2backend[type(dx._data)].name}"
            )
        return dx

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
        assert self.wanted is not None
        for node in sorted(reached, key=lambda n: n.sequence):
            for edge in node.edges:
                if isinstance(edge, Variable):
                    hit = id(edge) in self.wanted
                elif edge is not None:
                    hit = edge[0] in useful or (id(edge[0]), edge[1]) in self.wanted
                else:
                    hit = False
                if hit:
                    useful.add(node)
                    break
        return useful


def _device(array_type: type) -> str:
    return type2backend[array_type].name


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


def _hooked(hook: Any, gradient: Tensor, owned: bool) -> tuple[Tensor, bool]:
    """What ``hook`` makes of ``gradient``; it may also have kept it, so it is no longer ours."""
    replaced = hook(gradient)
    if replaced is None:
        return gradient, False
    if not isinstance(replaced, Variable):
        raise TypeError(
            f"a tensor hook must return a Tensor or None, got {type(replaced).__name__}"
        )
    if replaced._data.shape != gradient._data.shape:
        raise RuntimeError(
            f"hook '{getattr(hook, '__name__', repr(hook))}' has changed the size of value: "
            f"expected {list(gradient._data.shape)}, got {list(replaced._data.shape)}"
        )
    return replaced, False


def _zeros(shape: tuple[int, ...], dtype: Any, like: Any) -> Tensor:
    if isinstance(like, tuple):
        array_type, _ = like
        return wrap(type2backend[array_type].xp.zeros(shape, dtype))
    return wrap(type2backend[type(like)].zeros_like(like))


def _accumulate(leaf: Variable, gradient: Tensor, owned: bool, create_graph: bool) -> None:
    """Add to ``leaf.grad``; the array is kept only where nobody else can hold it."""
    before = leaf._grad
    if create_graph:
        leaf._grad = gradient if before is None else before + gradient
    elif before is None:
        data = gradient._data
        if not (owned and data.base is None and data.flags.c_contiguous):
            data = type2backend[type(data)].copy(data)
        leaf._grad = wrap(data)
    elif before.requires_grad:
        leaf._grad = wrap(before._data + gradient._data)
    else:
        before._data += gradient._data
        before._version_box[0] += 1


def _refuse_not_finite(node: Function, i: int, dx: Variable) -> None:
    backend = type2backend[type(dx._data)]
    if dx._data.dtype.kind != "f" or bool(backend.xp.isfinite(dx._data).all()):
        return
    kind = "nan" if bool(backend.xp.isnan(dx._data).any()) else "infinite"
    where = f"\nForward call:\n{node.trace}" if node.trace else ""
    raise RuntimeError(f"Function '{node.name}' returned {kind} values in its {i}th output.{where}")
