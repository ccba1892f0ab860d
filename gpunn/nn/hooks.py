"""Hooks on a module: calling it with them, and the graph nodes where backward meets them."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from gpunn.autograd.function import Function
from gpunn.autograd.grad_mode import thread
from gpunn.autograd.variable import Array, RemovableHandle
from gpunn.backends import type2backend
from gpunn.tensor import Tensor

if TYPE_CHECKING:
    from gpunn.nn.module import Module

Gradients: TypeAlias = "tuple[Tensor | None, ...]"


class ForwardHook(NamedTuple):
    """A hook around forward, and how it wants to be called."""

    call: Callable[..., Any]
    with_kwargs: bool
    always_call: bool = False


def register(hooks: OrderedDict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Put ``hook`` after all ``hooks``, or before them with ``prepend``."""
    handle = RemovableHandle.add(hooks, hook)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def call(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward(*args, **kwargs)`` between its hooks."""
    result: Any = None
    called: set[int] = set()
    try:
        args, kwargs = _before(module, args, kwargs)
        backward = None
        if module._backward_hooks or module._backward_pre_hooks:
            backward = _Backward(module)
            args = backward.watch_inputs(args)
        result = module.forward(*args, **kwargs)
        for key, hook in list(module._forward_hooks.items()):
            called.add(key)
            result = _after(hook, module, args, kwargs, result)
        if backward is not None:
            if not isinstance(result, (Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor or a tuple "
                    f"of Tensors but received {type(result)}",
                    stacklevel=3,
                )
            result = backward.watch_outputs(result)
        return result
    except Exception:
        for key, hook in list(module._forward_hooks.items()):
            if hook.always_call and key not in called:
                try:
                    result = _after(hook, module, args, kwargs, result)
                except Exception as error:
                    warnings.warn(
                        "module forward hook with ``always_call=True`` raised an exception that "
                        f"was silenced as another error was raised in forward: {error}",
                        stacklevel=3,
                    )
        raise


def _before(
    module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for hook in list(module._forward_pre_hooks.values()):
        if hook.with_kwargs:
            found = hook.call(module, args, kwargs)
            if found is None:
                continue
            if not isinstance(found, tuple) or len(_tuple(found)) != 2:
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but "
                    f"got {found}."
                )
            args, kwargs = _tuple(found)
        else:
            found = hook.call(module, args)
            if found is not None:
                args = _tuple(found)
    return args, kwargs


def _after(
    hook: ForwardHook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
) -> Any:
    extra = (kwargs,) if hook.with_kwargs else ()
    replaced = hook.call(module, args, *extra, result)
    return result if replaced is None else replaced


class _Watch(Function):
    """Copies of tensors; backward hands their gradients through ``see``.

    Copies, so that a module that works in place changes nothing behind the hooks' back.
    """

    @staticmethod
    def forward(
        ctx: Any, see: Callable[[Gradients], Gradients], zeros: bool, *xs: Tensor
    ) -> tuple[Array, ...]:
        ctx.see = see
        ctx.set_materialize_grads(zeros)
        copies = tuple([type2backend[type(x.data)].copy(x.data) for x in xs])
        inert = [c for c, x in zip(copies, xs, strict=True) if not x.requires_grad]
        ctx.mark_non_differentiable(*inert)
        return copies

    @staticmethod
    def backward(ctx: Any, *dys: Tensor | None) -> Gradients:
        return None, None, *ctx.see(dys)


class _Backward:
    """The backward hooks of one call: between the gradients of its outputs and of its inputs."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.hooks = list(module._backward_hooks.values())
        self.pre_hooks = list(module._backward_pre_hooks.values())
        self.inputs_watched = False
        self.grad_outputs: Gradients | None = None  # until backward has been there

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        watched = _watch(args, self._input_gradients, zeros=True)
        self.inputs_watched = watched is not None
        self.n_inputs = len(args)
        return args if watched is None else watched

    def watch_outputs(self, result: Any) -> Any:
        watched = _watch(_tuple(result), self._output_gradients, zeros=False)
        if watched is None:
            return result
        if not isinstance(result, tuple):
            return watched[0]
        named = getattr(cast("object", result), "_make", None)
        return watched if named is None else named(watched)

    def _output_gradients(self, gradients: Gradients) -> Gradients:
        for hook in self.pre_hooks:
            gradients = _replaced(
                "Backward pre hook returned an invalid number of grad_output",
                hook(self.module, gradients),
                gradients,
            )
        self.grad_outputs = gradients
        if not self.inputs_watched:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module "
                "outputs since no inputs require gradients.",
                stacklevel=2,
            )
            for hook in self.hooks:
                found = hook(self.module, (None,) * self.n_inputs, gradients)
                if any(g is not None for g in _tuple(found)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always "
                        "return None or None for all gradients."
                    )
        return gradients

    def _input_gradients(self, gradients: Gradients) -> Gradients:
        grad_outputs, self.grad_outputs = self.grad_outputs, None
        if grad_outputs is None:  # the output cannot be watched, or this is a second derivative
            return gradients
        for hook in self.hooks:
            gradients = _replaced(
                "Backward hook returned an invalid number of grad_input",
                hook(self.module, gradients, grad_outputs),
                gradients,
            )
        return gradients


def _watch(
    values: tuple[Any, ...], see: Callable[[Gradients], Gradients], zeros: bool
) -> tuple[Any, ...] | None:
    """``values`` with its tensors watched by ``see``; None where none requires gradients.

    ``see`` gets one gradient per value, None where the value is no tensor; where a tensor has got
    no gradient, zeros or None.
    """
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
    if not (thread.mode.enabled and any(values[i].requires_grad for i in places)):
        return None

    def spread(gradients: Gradients) -> Gradients:
        everywhere: list[Tensor | None] = [None] * len(values)
        for i, gradient in zip(places, gradients, strict=True):
            everywhere[i] = gradient
        seen = see(tuple(everywhere))
        return tuple([seen[i] for i in places])

    watched = list(values)
    copies = _Watch.apply(spread, zeros, *[values[i] for i in places])
    for i, copy in zip(places, copies, strict=True):
        watched[i] = copy
    return tuple(watched)


def _replaced(problem: str, found: Any, gradients: Gradients) -> Gradients:
    if found is None:
        return gradients
    new = _tuple(found)
    if len(new) != len(gradients):
        raise RuntimeError(f"{problem}, got {len(new)}, but expected {len(gradients)}")
    return new


def _tuple(value: Any) -> tuple[Any, ...]:
    """``value`` if it is a tuple, else the tuple of it alone."""
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)
