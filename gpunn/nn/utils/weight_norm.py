"""Weight normalization by a hook; ``parametrizations.weight_norm`` succeeds it."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from gpunn.nn.module import Module
from gpunn.nn.parameter import Parameter, is_lazy
from gpunn.nn.utils.parametrizations import length
from gpunn.tensor import Tensor

M = TypeVar("M", bound=Module)


class WeightNorm:
    """Before forward: ``name`` = g v / ‖v‖ of ``name_g`` and ``name_v``."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight as it stands."""
        g, v = (getattr(module, f"{self.name}_{letter}") for letter in "gv")
        return v * (g / length(v, self.dim))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """w = g v / ‖v‖ of the parameters ``name_g`` and ``name_v``, before each forward.

    As ``nn.utils.parametrizations.weight_norm``, which is to be preferred. Raises RuntimeError
    where it is registered already.
    """
    warnings.warn(
        "`gpunn.nn.utils.weight_norm` is deprecated in favor of "
        "`gpunn.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    if registered(module, WeightNorm, name) is not None:
        raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
    weight = getattr(module, name)
    if is_lazy(weight):
        raise ValueError(
            "The module passed to `WeightNorm` can't have uninitialized parameters. "
            "Make sure to run the dummy forward before applying weight normalization"
        )
    hook = WeightNorm(name, dim)
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(length(weight.detach(), hook.dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    hook(module, None)
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Have ``name`` be a plain parameter again. Raises ValueError where it is one."""
    key = registered(module, WeightNorm, name)
    if key is None:
        raise ValueError(f"weight_norm of '{name}' not found in {module}")
    hook: Any = module._forward_pre_hooks.pop(key).call
    weight = hook.compute_weight(module)
    delattr(module, name)
    for letter in "gv":
        del module._parameters[f"{name}_{letter}"]
    setattr(module, name, Parameter(weight.detach()))
    return module


def registered(module: Module, kind: type, name: str) -> int | None:
    """The key of the hook of that class, before forward, that computes ``name``; or None."""
    for key, entry in module._forward_pre_hooks.items():
        hook: Any = entry.call
        if isinstance(hook, kind) and hook.name == name:
            return key
    return None
