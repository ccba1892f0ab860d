"""What is kept of the tensors that a node saves, where hooks have a say in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from gpunn.autograd.grad_mode import thread
from gpunn.autograd.variable import Variable, wrap


class Pair(NamedTuple):
    """What makes something of a tensor to keep, and a tensor of that again."""

    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


class _Pairs(threading.local):
    def __init__(self) -> None:
        self.stack: list[Pair] = []  # the last is in force
        self.refusals: list[str] = []  # why there may be none


pairs = _Pairs()
in_force: list[int] = []  # not empty while any thread has a pair: all that saving looks at


class Packed:
    """What the hooks in force made of a tensor, and its place in the graph.

    ``history`` gives a new tensor the history of the one that was saved.
    """

    __slots__ = ("history", "kept", "unpack_hook")

    def __init__(self, tensor: Any, pair: Pair, history: Callable[[Any, Any], Any]) -> None:
        version = tensor._version
        mode = thread.mode
        enabled, mode.enabled = mode.enabled, False
        try:
            self.kept = pair.pack(tensor)
        finally:
            mode.enabled = enabled
        if tensor._version != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as "
                "input to pack hook cannot be modified by in-place operations as this can lead "
                "to unexpected side-effects. Please open an issue if you need to perform in-place "
                "operations on the input to a pack hook."
            )
        self.unpack_hook, self.history = pair.unpack, history

    def unpacked(self, node: Any) -> Any:
        """The tensor again, for the backward of ``node``."""
        tensor = self.unpack_hook(self.kept)
        if not isinstance(tensor, Variable):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                f"type {type(tensor).__name__}"
            )
        return self.history(wrap(tensor._data), node)
