"""Spectral normalization by a hook; ``parametrizations.spectral_norm`` succeeds it."""

from __future__ import annotations

from typing import Any, TypeVar

from gpunn.autograd.grad_mode import no_grad
from gpunn.functional.distance import normalize
from gpunn.nn.module import Module
from gpunn.nn.parameter import Parameter, is_lazy
from gpunn.nn.utils.parametrizations import as_matrix, check_steps, power_iterate, spectral_dim
from gpunn.nn.utils.weight_norm import registered
from gpunn.tensor import Tensor

M = TypeVar("M", bound=Module)


class SpectralNorm:
    """Before forward: ``name`` = ``name_orig`` / σ, σ by the vectors ``name_u`` and ``name_v``."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        check_steps(n_power_iterations)
        self.name, self.n_power_iterations = name, n_power_iterations
        self.dim, self.eps = dim, eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight, after the power iteration if wanted."""
        weight, u, v = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            power_iterate(matrix.t(), v, u, self.n_power_iterations, self.eps)  # v first
            u, v = u.clone(), v.clone()  # the next call turns the buffers before backward
        return weight / u.dot(matrix.mv(v))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """w = W / σ(W) of the parameter ``name_orig``, before each forward (Miyato et al., 2018).

    As ``nn.utils.parametrizations.spectral_norm``, which is to be preferred. Raises RuntimeError
    where it is registered already.
    """
    if registered(module, SpectralNorm, name) is not None:
        raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    hook = SpectralNorm(name, n_power_iterations, spectral_dim(module) if dim is None else dim, eps)
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    if is_lazy(weight):
        raise ValueError(
            "The module passed to `SpectralNorm` can't have uninitialized parameters. "
            "Make sure to run the dummy forward before applying spectral normalization"
        )
    matrix = as_matrix(weight.detach(), hook.dim)
    u, v = (normalize(matrix.new_empty(n).normal_(), dim=0, eps=eps) for n in matrix.shape)
    del module._parameters[name]
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Have ``name`` be a plain parameter again. Raises ValueError where it is one."""
    key = registered(module, SpectralNorm, name)
    if key is None:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    hook: Any = module._forward_pre_hooks.pop(key).call
    with no_grad():
        weight = hook.compute_weight(module, False)
    for part in ("", "_u", "_v", "_orig"):
        delattr(module, name + part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module
