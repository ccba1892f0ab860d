"""A node of the graph: where its gradients go, and what waits for them; not what it computes."""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from weakref import ReferenceType

from gpunn.autograd.variable import Hook, RemovableHandle, Variable

if TYPE_CHECKING:
    import traceback

    from gpunn.tensor import Tensor

# Where a gradient goes: to one output of a node, or to a leaf.
Edge: TypeAlias = "tuple[Node, int] | Variable"
clock = itertools.count()  # numbers nodes as they are made, and the steps of optimizers between


class Waiting:
    """For the gradients of a node's outputs: hooks, and the outputs that keep theirs."""

    __slots__ = ("after", "before", "hooks", "retained")

    def __init__(self) -> None:
        self.before: OrderedDict[int, Callable[..., Any]] = OrderedDict()  # of the node itself
        self.after: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self.hooks: defaultdict[int, OrderedDict[int, Hook]] = defaultdict(OrderedDict)
        self.retained: dict[int, ReferenceType[Variable]] = {}


class AccumulateGrad:
    """A leaf among the nodes of ``next_functions``: where its gradient is added up."""

    __slots__ = ("variable",)
    name = "AccumulateGrad"
    next_functions = ()

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Node:
    """What backward knows of an operation. ``Function`` is its one subclass and computes."""

    name: ClassVar[str] = "Node"
    # Gradients that backward makes are new arrays, seen by nobody else: true of gpunn's own.
    _fresh: ClassVar[bool] = False

    # Where each argument came from, and what each output is like: shape, dtype, type of array.
    edges: list[Edge | None]
    outputs: list[tuple[tuple[int, ...], Any, type] | None]
    sequence: int
    trace: traceback.StackSummary | None = None  # of the forward call, where asked for
    waiting: Waiting | None = None
    _saved: Sequence[Any] | None = ()  # None once it was freed
    _materialize = True

    def run_backward(self, dys: Sequence[Tensor | None], recording: bool) -> Any:
        """The gradients of the arguments from those of the outputs."""
        raise NotImplementedError

    def place(self, variable: Any, nr: int) -> Any:
        """``variable`` as output ``nr`` of this node."""
        variable._grad_fn, variable._output_nr, variable._requires_grad = self, nr, True
        return variable

    def wait(self) -> Waiting:
        """What waits for the gradients of this node, to be added to."""
        if self.waiting is None:
            self.waiting = Waiting()
        return self.waiting

    @property
    def next_functions(self) -> tuple[tuple[Node | AccumulateGrad | None, int], ...]:
        """The nodes that the arguments came from; None for constants."""
        return tuple(
            (None, 0) if e is None else e if isinstance(e, tuple) else (AccumulateGrad(e), 0)
            for e in self.edges
        )

    @functools.cached_property
    def metadata(self) -> dict[Any, Any]:
        """For notes of one's own on a node."""
        return {}

    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call ``fn(grad_outputs)`` before this node's backward; what it returns replaces them."""
        return RemovableHandle.add(self.wait().before, fn)

    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call ``fn(grad_inputs, grad_outputs)`` after this node's backward.

        What it returns, if anything, replaces the gradients of the inputs.
        """
        return RemovableHandle.add(self.wait().after, fn)

    def __repr__(self) -> str:
        return f"<{self.name}>"


def leaves_below(start: Node, seen: set[Node] | None = None) -> Iterator[Variable]:
    """The leaves that ``start`` leads to, past no node that is in ``seen``, which grows."""
    stack, seen = [start], set[Node]() if seen is None else seen
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for edge in node.edges:
            if isinstance(edge, Variable):
                yield edge
            elif edge is not None:
                stack.append(edge[0])
