"""Looking at the graph, and at what it keeps: ``gpunn.autograd.graph``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpunn.autograd.node import Node
from gpunn.autograd.packing import Pair, in_force, pairs

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

__all__ = [
    "Node",
    "disable_saved_tensors_hooks",
    "increment_version",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:  # noqa: N801
    """Inside, ``pack_hook(tensor)`` says what operations keep of a tensor that they save.

    Backward calls ``unpack_hook`` on that, to have the tensor again. The innermost pair is in
    force. Values that hooks have packed are not watched for changes in place.
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if pairs.refusals:
            raise RuntimeError(pairs.refusals[-1])
        pairs.stack.append(Pair(self.pack_hook, self.unpack_hook))
        in_force.append(1)

    def __exit__(self, *_: object) -> None:
        pairs.stack.pop()
        in_force.pop()


class save_on_cpu(saved_tensors_hooks):  # noqa: N801
    """Inside, what operations save is kept in the host's memory, and brought back in backward.

    ``pin_memory`` keeps it page-locked, so that the device need not wait for the way back.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Any) -> tuple[Any, Any]:
            if not pin_memory or tensor.device.type == "cpu":
                return tensor.device, tensor.cpu()
            kept = tensor.new_empty(tensor.size(), device="cpu").pin_memory()
            kept.copy_(tensor)
            return tensor.device, kept

        def unpack(packed: tuple[Any, Any]) -> Tensor:
            device, kept = packed
            return kept.to(device, non_blocking=pin_memory)

        super().__init__(pack, unpack)


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Generator[None]:
    """Inside, hooks on saved tensors are refused, with ``error_message`` (RuntimeError)."""
    if pairs.stack:
        raise RuntimeError(error_message)
    pairs.refusals.append(error_message)
    try:
        yield
    finally:
        pairs.refusals.pop()


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Note that tensors were changed in place, where autograd could not see it."""
    given: Any = tensor if isinstance(tensor, (list, tuple)) else (tensor,)
    for each in given:
        each._version_box[0] += 1
