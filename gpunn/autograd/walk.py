"""One pass over the graph, from the outputs down: which node is next, what has arrived for it."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, TypeAlias

from gpunn.autograd import steps
from gpunn.autograd.casting import autocast_state
from gpunn.autograd.grad_mode import thread
from gpunn.autograd.gradients import (
    accumulate,
    add_to,
    changed,
    conform,
    hooked,
    refuse_not_finite,
    zeros,
)
from gpunn.autograd.node import Edge, Node
from gpunn.autograd.placing import beside
from gpunn.autograd.quiet import IGNORED, reset_errors, set_errors
from gpunn.autograd.variable import Array, Variable, is_sequence
from gpunn.backends import type2backend
from gpunn.dtype import in_use

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Gradient: TypeAlias = "tuple[Tensor, bool]"  # and whether its array is ours alone


class Walk:
    """One pass over the graph; use it as a context manager, which sets the grad mode.

    A node is younger than every node it leads to, so visiting the youngest pending node first
    meets each one only after all its gradients have arrived. No recursion: depth costs nothing.

    A gradient comes with whether it is owned: whether nobody else can hold its array, so that more
    may be added in place and a leaf may keep it.
    """

    def __init__(self, create_graph: bool, wanted: Sequence[Variable] | None) -> None:
        self.create_graph = create_graph
        self.heap: list[tuple[int, Node]] = []
        # Of nodes, the gradients of each output, and whether they are owned.
        self.pending: dict[Node, tuple[list[Tensor | None], list[bool]]] = {}
        self.leaves: dict[int, tuple[Variable, Tensor, bool]] = {}
        self.wanted = None if wanted is None else {key_of(x) for x in wanted}
        self.captured: dict[Any, Gradient] = {}
        self.useful: set[Node] | None = None

    def __enter__(self) -> None:
        self._errors = set_errors(IGNORED)
        self._mode = thread.mode
        self._enabled = self._mode.enabled
        self._mode.enabled = self.create_graph
        self._autocast = autocast_state.enabled if in_use else None
        if self._autocast:  # gradients are computed as forward was
            autocast_state.switch({})

    def __exit__(self, *_: object) -> None:
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
                gradient, owned = hooked(leaf._hooks, gradient), False
                self.leaves[key] = leaf, gradient, owned
            if self.wanted is not None:
                self.captured[key] = gradient, owned

    def _visit(self, node: Node, dys: list[Tensor | None], keep_graph: bool) -> None:
        """Have ``node`` make of ``dys`` the gradients of its arguments, and hand them on."""
        waited_for = node.waiting is not None or self.wanted is not None
        if (waited_for or len(dys) > 1) and not self._attend(node, dys):
            return
        dxs = _backward(node, dys, self.create_graph)
        if waited_for and node.waiting is not None:
            for hook in list(node.waiting.after.values()):
                dxs = changed(hook(dxs, tuple(dys)), dxs)
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
                refuse_not_finite(node, i, dx)
            data = dx._data
            owned = node._fresh and data.base is None and _alone(data, i, dys, dxs)
            self._deliver(edge, conform(node, i, edge, dx), owned)

    def _attend(self, node: Node, dys: list[Tensor | None]) -> bool:
        """See to what waits for the gradients of ``node``; whether to go on from there.

        As in PyTorch, ``grad`` gives what hooks made of a gradient only where it goes no further.
        """
        further = self.useful is None or node in self.useful
        for nr, dy in enumerate(dys):
            if dy is None:
                like = node.outputs[nr]
                if node._materialize and like is not None:
                    dys[nr] = zeros(*like, dys)
                continue
            captured = dy
            if node.waiting is not None:
                if nr in node.waiting.hooks:
                    dy = dys[nr] = hooked(node.waiting.hooks[nr], dy)
                reference = node.waiting.retained.get(nr)
                variable = reference and reference()
                if variable is not None:
                    accumulate(variable, dy, False, self.create_graph)
            if self.wanted is not None and (id(node), nr) in self.wanted:
                self.captured[id(node), nr] = captured if further else dy, False
        if further and node.waiting is not None:
            for hook in list(node.waiting.before.values()):
                dys[:] = changed(hook(tuple(dys)), tuple(dys))
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
            add_to(total._data, gradient._data)
            return total, True
        return total + gradient, True

    def _paths(self, roots: list[Edge]) -> set[Node]:
        """The nodes that lead to something wanted."""
        reached: set[Node] = set()
        stack = [edge[0] for edge in roots if not isinstance(edge, Variable)]
        while stack:
            node = stack.pop()
            if node not in reached:
                reached.add(node)
                stack.extend(e[0] for e in node.edges if isinstance(e, tuple))
        useful: set[Node] = set()
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


def _backward(node: Node, dys: Sequence[Tensor | None], recording: bool) -> tuple[Any, ...]:
    """What ``node`` makes of its gradients, on their device: at least one for each argument."""
    if len(type2backend) == 1:
        given: Any = node.run_backward(dys, recording)
    else:
        with beside(dys):
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


def key_of(x: Variable) -> Any:
    """What stands for ``x`` in ``wanted`` and ``captured``."""
    return id(x) if x.grad_fn is None else (id(x.grad_fn), x.output_nr)
