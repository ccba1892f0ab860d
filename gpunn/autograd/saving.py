"""What a node keeps of a value that forward saved, and how backward finds it unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Array, Variable, owner_of, wrap

if TYPE_CHECKING:
    from gpunn.autograd.function import Function
    from gpunn.autograd.node import Node

SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


class Output:
    """An output that was saved, without its history, which would be a cycle."""

    __slots__ = ("_data", "_version_box", "nr")

    def __init__(self, output: Variable, nr: int) -> None:
        self._data, self.nr, self._version_box = output._data, nr, output._version_box

    def linked(self, node: Node) -> Variable:
        """The output again, as one of ``node``."""
        variable = wrap(self._data)
        variable._version_box = self._version_box
        return node.place(variable, self.nr)


def modified(node: Node, kept: Variable | Output, expected: int) -> RuntimeError:
    """The error where a value that ``node`` saved has changed since."""
    array = kept._data
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [{array.dtype} {list(array.shape)}], saved by {node.name}, "
        f"is at version {kept._version_box[0]}; expected version {expected} instead. Use the "
        "out-of-place form of the operation that changed it, or change a clone()"
    )


def saved(
    ctx: Function,
    value: Variable | Array,
    args: tuple[Any, ...],
    results: tuple[Any, ...],
    outputs: tuple[Any, ...],
) -> tuple[Variable | Output, int]:
    """What is kept of a ``value`` that forward saved, and the version that it has now."""
    kept: Variable | Output | None = value if isinstance(value, Variable) else None
    for nr, result in enumerate(results):
        if value is result:
            output = outputs[nr]
            if kept is None or one_of(kept, ctx._dirty) or not one_of(kept, args):
                kept = Output(output, nr) if output._grad_fn is ctx else output
            break
    if kept is None:
        kept = wrap(value)
        if kept._data.base is not None:  # a view of something that may change in place
            for other in (*args, *outputs):
                if isinstance(other, Variable) and owner_of(other._data) is owner_of(kept._data):
                    kept._version_box = other._version_box
    return kept, kept._version_box[0]


def one_of(x: object, others: tuple[Any, ...]) -> bool:
    """Whether ``x`` itself is among ``others``, whatever equals it."""
    return any(x is other for other in others)
