"""Functions made of functions: their gradients, products, Jacobians and Hessians.

Arguments and results may be nested in tuples, lists and dicts. Transforms nest, and what they are
made of may take part in an outer graph: then results are linked to that, and to nothing else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, cast

from gpunn.autograd.functional import gradients_by, jacobian_of, zeros_like
from gpunn.autograd.grad_mode import enable_grad, thread
from gpunn.autograd.node import leaves_below
from gpunn.autograd.variable import Variable
from gpunn.missing import refuse_others as _refuse_others
from gpunn.nn.utils.stateless import functional_call

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "vjp",
]

Argnums: TypeAlias = int | tuple[int, ...]


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Any:
    """The function that gives the gradient of ``func``, a scalar, by its argument ``argnums``.

    With ``has_aux``, ``func`` returns (scalar, anything), and the gradient's function (gradient,
    anything). Raises RuntimeError where ``func`` gives no scalar tensor.
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        dxs, found = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (dxs, found[1]) if has_aux else dxs

    return wrapper


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Any:
    """As ``grad``, but the function gives (gradient, value), the value (scalar, anything)."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        title, tracked = "grad_and_value(f)(*args)", thread.mode.enabled
        with enable_grad():
            given, chosen, own = _prepared(args, argnums)
            y, aux = _output(func(*given, **kwargs), has_aux, title)
            if not isinstance(y, Variable):
                raise RuntimeError(f"{title}: Expected f(*args) to return a Tensor, got {type(y)}")
            if y.data.ndim:
                raise RuntimeError(
                    f"{title}: Expected f(*args) to return a scalar Tensor, got tensor with "
                    f"{y.data.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            deeper = tracked and _linked(y, own)
            found = gradients_by((y,), own, (zeros_like(y) + 1,), deeper)
        dxs = _rebuilt(chosen, iter(_filled(found, own)))
        dxs, y, aux = (_given_back(part, own, tracked) for part in (dxs, y, aux))
        return (dxs, (y, aux)) if has_aux else (dxs, y)

    return wrapper


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """``func(*primals)``, and the function that maps vectors v, like the outputs, to vᵀ J.

    That gives a tuple, one entry an argument. With ``has_aux``, ``func`` returns (outputs,
    anything), and anything comes third.
    """
    title, tracked = "vjp(f, *primals)", thread.mode.enabled
    with enable_grad():
        given, _, own = _prepared(primals, tuple(range(len(primals))))
        outputs, aux = _output(func(*given), has_aux, title)
        ys = _tensors(outputs, title)

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        deeper = thread.mode.enabled if create_graph is None else create_graph
        if _form(cotangents) != _form(outputs):
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {_form(cotangents)}, primal output: "
                f"{_form(outputs)}"
            )
        found = gradients_by(ys, own, tuple(_leaves(cotangents)), deeper)
        return _given_back(_rebuilt(primals, iter(_filled(found, own))), own, deeper)

    results = _given_back(outputs, own, tracked)
    return (results, vjp_fn, _given_back(aux, own, tracked)) if has_aux else (results, vjp_fn)


def jvp(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """``func(*primals)``, and J v: how the outputs change as the arguments move along ``tangents``.

    By differentiating twice, as ``autograd.functional.jvp``. ``strict`` refuses outputs that do not
    depend on the arguments (RuntimeError). With ``has_aux``, as ``vjp``.
    """
    title, tracked = "jvp(f, primals, tangents)", thread.mode.enabled
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{title}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    arguments = cast("tuple[Any, ...]", primals)
    if _form(arguments) != _form(tangents):
        raise RuntimeError(
            f"{title}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with "
            f"structure {_form(arguments)} and tangents with structure {_form(tangents)}"
        )
    with enable_grad():
        given, _, own = _prepared(arguments, tuple(range(len(arguments))))
        outputs, aux = _output(func(*given), has_aux, title)
        ys = _tensors(outputs, title)
        if strict and not all(y.requires_grad for y in ys):
            raise RuntimeError(
                f"{title}: The output of f is independent of the inputs. This is not allowed with "
                "strict=True."
            )
        vs = tuple(_leaves(tangents))
        weights = tuple(zeros_like(y).requires_grad_() for y in ys)
        dxs = _filled(gradients_by(ys, own, weights, True), own)
        deeper = tracked and any(_linked(t, (*own, *weights)) for t in (*ys, *vs))
        moved = _filled(gradients_by(dxs, weights, vs, deeper), ys)
    alone = (*own, *weights)
    results = _rebuilt(outputs, iter(_given_back(ys, alone, tracked)))
    change = _rebuilt(outputs, iter(_given_back(moved, alone, tracked)))
    return (results, change, _given_back(aux, own, tracked)) if has_aux else (results, change)


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Any:
    """The function that gives J[i..., j...] = d output[i...] / d argument[j...].

    For several arguments a tuple, for outputs in a structure that structure of Jacobians. One
    gradient for each element of the outputs: ``chunk_size`` makes no difference.
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        title, tracked = "jacrev(f)(*args)", thread.mode.enabled
        with enable_grad():
            given, chosen, own = _prepared(args, argnums)
            outputs, aux = _output(func(*given, **kwargs), has_aux, title)
            ys = _tensors(outputs, title)
            deeper = tracked and any(_linked(y, own) for y in ys)
            tables = [jacobian_of(y, own, deeper, False, i) for i, y in enumerate(ys)]
        rows = [_rebuilt(chosen, iter(_given_back(t, own, tracked))) for t in tables]
        found = _rebuilt(outputs, iter(rows))
        return (found, _given_back(aux, own, tracked)) if has_aux else found

    return wrapper


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Any:
    """As ``jacrev``, which is how it is computed."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Any:
    """The function that gives the second derivatives: the Jacobian of the Jacobian."""
    return jacfwd(jacrev(func, argnums), argnums)


# Arguments and results ----------------------------------------------------------------------


def _prepared(args: tuple[Any, ...], argnums: Argnums) -> tuple[list[Any], Any, tuple[Any, ...]]:
    """The arguments for a call, those to differentiate by, and their tensors in that call.

    These are variables of their own; in an outer graph where the argument is.
    """
    if isinstance(argnums, tuple) and not argnums and args:
        raise RuntimeError("argnums must be non-empty")
    places = [_place(n, len(args)) for n in (argnums if isinstance(argnums, tuple) else (argnums,))]
    if len(set(places)) < len(places):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    given, own = list(args), list[Any]()
    for i in places:
        fresh = [_own(x) for x in _leaves(args[i])]
        given[i] = _rebuilt(args[i], iter(fresh))
        own += fresh
    chosen = tuple(args[i] for i in places) if isinstance(argnums, tuple) else args[places[0]]
    return given, chosen, tuple(own)


def _place(argnum: Any, count: int) -> int:
    if not isinstance(argnum, int):
        raise RuntimeError(f"argnum must be int, got: {type(argnum)}")
    if not -count <= argnum < count:
        raise RuntimeError(f"Got argnum={argnum}, but only {count} positional inputs")
    return argnum % count


def _own(x: Any) -> Any:
    if not isinstance(x, Variable):
        raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
    tensor: Any = x
    return tensor.view_as(x) if x.requires_grad else tensor.detach().requires_grad_()


def _output(found: Any, has_aux: bool, title: str) -> tuple[Any, Any]:
    if not has_aux:
        return found, None
    if not isinstance(found, tuple) or len(cast("tuple[Any, ...]", found)) != 2:
        raise RuntimeError(
            f"{title}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return cast("tuple[Any, Any]", found)


def _tensors(outputs: Any, title: str) -> tuple[Any, ...]:
    ys = tuple(_leaves(outputs))
    for y in ys:
        if not isinstance(y, Variable):
            raise RuntimeError(
                f"{title}: expected f(*args) to return only tensors, got unsupported type {type(y)}"
            )
    if not ys:
        raise RuntimeError(f"{title}: Expected f(*args) to return at least one tensor, got none.")
    return ys


def _filled(found: tuple[Any, ...], like: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(zeros_like(x) if dx is None else dx for dx, x in zip(found, like, strict=True))


def _given_back(tree: Any, own: tuple[Any, ...], tracked: bool) -> Any:
    """Results, cut from the graph unless that leads to more than a transform's own variables."""

    def back(t: Any) -> Any:
        if not isinstance(t, Variable) or (tracked and _linked(t, own)):
            return t
        return cast("Any", t).detach()

    return _rebuilt(tree, map(back, _leaves(tree)))


def _linked(tensor: Any, own: tuple[Any, ...]) -> bool:
    """Whether the graph of ``tensor`` leads to a leaf that is none of ``own``."""
    ids = {id(x) for x in own}
    if not tensor.requires_grad:
        return False
    if tensor.grad_fn is None:
        return id(tensor) not in ids
    return any(id(leaf) not in ids for leaf in leaves_below(tensor.grad_fn))


# Structures ---------------------------------------------------------------------------------


def _parts(tree: Any) -> list[Any] | None:
    """What a tuple, list or dict (by its keys in order) holds; None of anything else."""
    if isinstance(tree, (tuple, list)):
        return list(cast("list[Any]", tree))
    if isinstance(tree, dict):
        table = cast("dict[Any, Any]", tree)
        return [table[key] for key in sorted(table, key=str)]
    return None


def _joined(tree: Any, parts: list[Any]) -> Any:
    """Parts in the place of those of ``tree``."""
    if isinstance(tree, dict):
        table = cast("dict[Any, Any]", tree)
        found = dict(zip(sorted(table, key=str), parts, strict=True))
        return {key: found[key] for key in table}
    cls: Any = type(cast("object", tree))
    return getattr(cls, "_make", cls)(parts)


def _leaves(tree: Any) -> Iterator[Any]:
    parts = _parts(tree)
    if parts is not None:
        for part in parts:
            yield from _leaves(part)
    elif tree is not None:
        yield tree


def _rebuilt(tree: Any, leaves: Iterator[Any]) -> Any:
    """The structure of ``tree`` with other leaves."""
    parts = _parts(tree)
    if parts is None:
        return None if tree is None else next(leaves)
    return _joined(tree, [_rebuilt(part, leaves) for part in parts])


def _form(tree: Any) -> Any:
    """What a structure is without its leaves, to be compared and shown."""
    parts = _parts(tree)
    if parts is None:
        return None if tree is None else "*"
    return _joined(tree, [_form(part) for part in parts])


_refuse_others(globals())
