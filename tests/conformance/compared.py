"""What is compared of functions whose results are not all defined, and how it is had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

View = Callable[[Callable[..., Any]], Callable[..., Any]]


def _seen(view: Callable[[Any], Any]) -> View:
    return lambda function: lambda *args, **kwargs: view(function(*args, **kwargs))


def form(result: Any) -> Any:
    """What a tensor of any values is like."""
    return tuple(result.shape), str(result.dtype), result.requires_grad


def unsigned(result: Any) -> Any:
    """Vectors whose signs are LAPACK's choice as what does not depend on them: their squares."""
    most = max(x.ndim for x in result)
    return tuple(x * x if x.ndim == most else x for x in result)


COMPARED: dict[str, View] = {
    **{
        name: _seen(form)
        for name in """
            empty empty_like rand randn randint randperm rand_like randn_like randint_like normal
            multinomial bernoulli Tensor.new_empty Tensor.bernoulli Tensor.multinomial
            poisson binomial empty_permuted
        """.split()  # noqa: SIM905
    },
    "svd": _seen(unsigned),
    "linalg.svd": _seen(unsigned),
    "linalg.eigh": _seen(unsigned),
}
