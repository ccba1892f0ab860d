"""The state of parameters: the arrays that update rules read and change, counts of steps."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, cast

from gpunn.autograd.variable import Array, wrap
from gpunn.backends import type2backend
from gpunn.creation import zeros
from gpunn.dtype import float32, float64, get_default_dtype
from gpunn.tensor import Tensor


def placed(name: str, value: Any, p: Tensor) -> Any:
    """A copy of one saved value, where the parameter lies; the count of steps stays on the CPU."""
    if name == "step":
        return value.detach().cpu().clone() if isinstance(value, Tensor) else counter(value)
    if isinstance(value, Tensor):
        value = value.detach()
        dtype = p.dtype if p.is_floating_point() else value.dtype
        return value.to(p.device, dtype, copy=True)
    if isinstance(value, list):  # LBFGS has lists of tensors
        return [placed("", each, p) for each in cast("list[Any]", value)]
    return copy.deepcopy(value)


def counter(value: float = 0) -> Tensor:
    """A count of steps: a float tensor on the CPU, as PyTorch keeps it."""
    wide = get_default_dtype() == float64
    return zeros((), dtype=float64 if wide else float32) + value


def data_of(params: list[Tensor]) -> tuple[list[Array], list[Array]]:
    """The arrays of parameters, and of their gradients."""
    return [p.data for p in params], [p.grad.data for p in params if p.grad is not None]


def slots(
    states: Mapping[Tensor, dict[str, Any]],
    name: str,
    params: list[Tensor],
    shape: tuple[int, ...] | None = None,
) -> list[Array]:
    """The arrays ``name`` of the parameters' states, of their ``shape`` or that of the parameters.

    Zeros at first. Raises RuntimeError if one has another shape or device than it should have now.
    """
    arrays: list[Array] = []
    for p in params:
        state = states[p]
        if name not in state:
            backend = type2backend[type(p.data)]
            if backend.capturing():  # each replay would begin with zeros
                raise RuntimeError(
                    f"the optimizer's {name} is made in its first step, which cannot be captured "
                    "in a CUDA graph: call step() once before the capture"
                )
            if shape is None:
                state[name] = wrap(backend.zeros_like(p.data))
            else:
                state[name] = p.new_zeros(shape)
        array = state[name].data
        if array.shape != (p.data.shape if shape is None else shape) or type(array) is not type(
            p.data
        ):
            kept = state[name]
            raise RuntimeError(
                f"the optimizer's {name} is {list(kept.shape)} on {kept.device}, but its parameter "
                f"is {list(p.shape)} on {p.device}: load the state_dict of the same model, and "
                "after moving a model load optimizer.state_dict() back, which moves the state along"
            )
        arrays.append(array)
    return arrays


def count_step(state: dict[str, Any]) -> float:
    """One more step in a parameter's state; how many there are now."""
    if "step" not in state:
        state["step"] = counter()
    step = state["step"].data
    step += 1
    return step.item()


def alike(params: list[Tensor], keys: list[Any]) -> Iterable[tuple[Any, list[Tensor]]]:
    """The parameters of each key."""
    if keys and keys.count(keys[0]) == len(keys):  # as a rule
        return [(keys[0], params)]
    together: dict[Any, list[Tensor]] = {}
    for p, key in zip(params, keys, strict=True):
        together.setdefault(key, []).append(p)
    return together.items()
