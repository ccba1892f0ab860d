"""Gradients against central differences: ``gradcheck`` and ``gradgradcheck``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy

from gpunn.autograd.engine import grad
from gpunn.autograd.grad_mode import enable_grad
from gpunn.autograd.variable import Variable, wrap
from gpunn.backends import type2backend

if TYPE_CHECKING:
    from gpunn.tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient that differs from finite differences; names function, argument and index."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """Compare the gradients of ``func(*inputs)`` with (f(x + eps) - f(x - eps)) / (2 eps).

    Every element of every float64 input that requires grad is moved. Raises GradcheckError (or
    returns False) at the first element where analytical and numerical derivative of an output
    differ by more than ``atol + rtol * |numerical|``, or where two runs of backward differ by more
    than ``nondet_tol``.
    """
    args = (inputs,) if isinstance(inputs, Variable) else tuple(inputs)
    checked = [i for i, a in enumerate(args) if isinstance(a, Variable) and a.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, "
            "but none of the them have requires_grad=True."
        )
    for i in checked:
        if args[i].data.dtype != numpy.float64:
            raise ValueError(
                f"gradcheck: argument {i} is {args[i].data.dtype}; finite differences need float64"
            )
    try:
        with enable_grad():
            outputs = _outputs(func(*args))
            for j, output in enumerate(outputs):
                if output.requires_grad:
                    _check_output(func, args, checked, j, output, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """``gradcheck`` of the gradient itself, in the inputs and in the outputs' gradients."""
    args = (inputs,) if isinstance(inputs, Variable) else tuple(inputs)
    checked = [i for i, a in enumerate(args) if isinstance(a, Variable) and a.requires_grad]
    with enable_grad():
        outputs: list[Any] = [o for o in _outputs(func(*args)) if o.requires_grad]
    if grad_outputs is None:
        draw = numpy.random.Generator(numpy.random.Philox(0))
        seeds: list[Tensor] = []
        for o in outputs:
            shape = tuple[int, ...](o.data.shape)
            seeds.append(_beside(o, numpy.asarray(draw.standard_normal(shape))))
    else:
        seeds = list(grad_outputs)
    for s in seeds:
        s.requires_grad = True

    def gradient(*both: Any) -> tuple[Any, ...]:
        moved, dys = both[: len(args)], both[len(args) :]
        results = [o for o in _outputs(func(*moved)) if o.requires_grad]
        return grad(
            results,
            [moved[i] for i in checked],
            dys,
            create_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )

    gradient.__name__ = f"gradient of {_name(func)}"
    return gradcheck(
        gradient,
        (*args, *seeds),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
    )


def _check_output(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    checked: list[int],
    j: int,
    output: Tensor,
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> None:
    """Compare column by column of the Jacobian, one per element of each input."""
    analytical = _jacobian_rows(output, args, checked)
    again = _jacobian_rows(output, args, checked)
    for i, rows, rows2 in zip(checked, analytical, again, strict=True):
        if rows.size and float(numpy.abs(rows - rows2).max()) > nondet_tol:
            raise GradcheckError(
                f"Backward is not reentrant: {_name(func)}, argument {i}: two runs differ"
            )
        backend = type2backend[type(args[i].data)]
        for column, index in enumerate(numpy.ndindex(args[i].data.shape)):
            numerical = _difference(func, args, i, index, j, eps, backend)
            expected, got = numerical.ravel(), rows[:, column]
            bad = ~(numpy.abs(got - expected) <= atol + rtol * numpy.abs(expected))
            if bad.any():
                row = int(numpy.argmax(bad))
                where = numpy.unravel_index(row, output.data.shape) if output.data.ndim else ()
                raise GradcheckError(
                    f"Jacobian mismatch for output {j} with respect to input {i}, {_name(func)}: "
                    f"d output{j}{[int(k) for k in where]} / d argument{i}{list(index)}: "
                    f"numerical {expected[row]:.8g}, analytical {got[row]:.8g}"
                )


def _jacobian_rows(
    output: Tensor, args: tuple[Any, ...], checked: list[int]
) -> list[numpy.ndarray[Any, Any]]:
    """Per input, an array (output elements, input elements) of backward's derivatives."""
    backend = type2backend[type(output.data)]
    size = output.data.size
    rows = [numpy.zeros((size, args[i].data.size)) for i in checked]
    for k in range(size):
        seed = numpy.zeros(output.data.shape)
        seed.reshape(-1)[k] = 1.0
        gradients = grad(
            [output],
            [args[i] for i in checked],
            [_beside(output, seed)],
            retain_graph=True,
            allow_unused=True,
        )
        for table, g in zip(rows, gradients, strict=True):
            if g is not None:
                table[k] = backend.to_numpy(g.data).ravel()
    return rows


def _difference(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    i: int,
    index: tuple[int, ...],
    j: int,
    eps: float,
    backend: Any,
) -> numpy.ndarray[Any, Any]:
    """(f(x + eps) - f(x - eps)) / (2 eps) in one element of argument ``i``."""
    values: list[numpy.ndarray[Any, Any]] = []
    for step in (eps, -eps):
        moved = backend.to_numpy(args[i].data).copy()
        moved[index] += step
        x = _beside(args[i], moved)
        x.requires_grad = True
        result = _outputs(func(*args[:i], x, *args[i + 1 :]))[j]
        values.append(numpy.array(backend.to_numpy(result.data), dtype=numpy.float64))
    return (values[0] - values[1]) / (2 * eps)


def _beside(x: Tensor, values: numpy.ndarray[Any, Any]) -> Tensor:
    backend = type2backend[type(x.data)]
    with backend.beside(x.data):
        return wrap(backend.from_numpy(values))


def _outputs(result: Any) -> list[Any]:
    if isinstance(result, Variable):
        return [result]
    return [r for r in list[Any](result) if isinstance(r, Variable)]


def _name(func: Callable[..., Any]) -> str:
    return getattr(func, "__name__", None) or repr(func)
