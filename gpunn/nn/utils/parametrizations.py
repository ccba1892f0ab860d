"""Weights by direction and length, of spectral norm 1, and orthogonal, as parametrizations."""

from __future__ import annotations

from typing import Any

from gpunn.autograd.grad_mode import no_grad
from gpunn.functional.distance import normalize
from gpunn.nn.conv import _ConvTranspose
from gpunn.nn.module import Module
from gpunn.nn.utils.orthogonal import orthogonal
from gpunn.nn.utils.parametrize import register_parametrization
from gpunn.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


# Weight normalization -----------------------------------------------------------------------


def length(weight: Tensor, dim: int) -> Tensor:
    """The 2-norm of each slice of ``dim``, which broadcasts with ``weight``; -1: of it all."""
    if dim == -1:
        return weight.norm()
    slices = weight.movedim(dim, 0).reshape(weight.shape[dim], -1)
    size = [n if d == dim else 1 for d, n in enumerate(weight.shape)]
    return slices.norm(2, 1).reshape(size)


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / length(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return length(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """w = g v / ‖v‖: learn length and direction apart (Salimans and Kingma, 2016).

    The norm is over all dimensions but ``dim``; over all if ``dim`` is None. g is
    ``parametrizations.<name>.original0``, v ``original1``. Loads what the older
    ``nn.utils.weight_norm`` has saved.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(_: Module, state_dict: Any, prefix: str, *others: Any) -> None:
        old = [f"{prefix}{name}_{letter}" for letter in "gv"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                new = f"{prefix}parametrizations.{name}.original{i}"
                state_dict[new] = state_dict.pop(key)

    module.register_load_state_dict_pre_hook(rename)
    return module


# Spectral normalization ---------------------------------------------------------------------


def spectral_dim(module: Module) -> int:
    """The dimension of outputs of the weight of ``module``."""
    return int(isinstance(module, _ConvTranspose))


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """``weight`` with ``dim`` first and all others as one."""
    return weight.movedim(dim, 0).flatten(1)


@no_grad()
def power_iterate(matrix: Tensor, u: Tensor, v: Tensor, steps: int, eps: float) -> None:
    """Turn ``u`` and ``v``, in place, towards the first singular vectors of ``matrix``."""
    for _ in range(steps):
        u.copy_(normalize(matrix.mv(v), dim=0, eps=eps))
        v.copy_(normalize(matrix.t().mv(u), dim=0, eps=eps))


def check_steps(n_power_iterations: int) -> None:
    """Raise ValueError unless it is positive."""
    if n_power_iterations <= 0:
        raise ValueError(
            "Expected n_power_iterations to be positive, but "
            f"got n_power_iterations={n_power_iterations}"
        )


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{ndim}, {ndim - 1}] but got {dim})"
            )
        check_steps(n_power_iterations)
        self.dim, self.eps, self.n_power_iterations = dim % ndim, eps, n_power_iterations
        if ndim > 1:
            matrix = as_matrix(weight.detach(), self.dim)
            for name, n in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, normalize(matrix.new_empty(n).normal_(), dim=0, eps=eps))
            power_iterate(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_iterate(matrix, self._u, self._v, self.n_power_iterations, self.eps)
        # Copies: the next call turns these two, and backward of this one wants them as they are.
        u, v = self._u.clone(), self._v.clone()
        return weight / u.dot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """w = W / σ(W), σ the largest singular value of W as a matrix (Miyato et al., 2018).

    Its rows are the slices of ``dim``, by default those of the outputs. σ is estimated by
    ``n_power_iterations`` steps of power iteration each time that w is read in training.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    chosen = spectral_dim(module) if dim is None else dim
    return register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, chosen, eps)
    )
