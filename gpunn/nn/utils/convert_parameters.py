"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from gpunn.ops.joining import cat
from gpunn.ops.shape import reshape
from gpunn.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all ``parameters`` in order, as one vector; gradients flow back."""
    held = list(parameters)
    _check_devices(held)
    return cat([reshape(p, -1) for p in held])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make consecutive slices of ``vec`` the data of ``parameters``, whose memory it then is.

    Raises RuntimeError, and changes nothing, where ``vec`` has fewer elements.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected gpunn.Tensor, but got: {type(vec).__name__}")
    held = list(parameters)
    _check_devices(held)
    room = vec.numel()
    for p in held:
        if p.numel() > room:
            needed = sum(p.numel() for p in held)
            raise RuntimeError(
                f"shape '{list(p.shape)}' is invalid for input of size {room} "
                f"(vector_to_parameters: the parameters have {needed} elements, the vector only "
                f"{vec.numel()})"
            )
        room -= p.numel()
    position = 0
    for p in held:
        part = vec.data[position : position + p.numel()]
        position += p.numel()
        p.data = part.reshape(p.shape)
        p._version_box = [p._version + 1]  # what was saved for backward is not what it was


def _check_devices(parameters: list[Tensor]) -> None:
    if len({p.device for p in parameters}) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )
