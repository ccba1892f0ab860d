"""Module: a tree with a ``forward`` to call, with hooks, and a state to move, save and load."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Self, TypeAlias

from gpunn.autograd.grad_mode import no_grad
from gpunn.autograd.quiet import IGNORED, errors, reset_errors, set_errors
from gpunn.autograd.variable import RemovableHandle
from gpunn.creation import empty_like
from gpunn.device import device as Device
from gpunn.nn import hooks as _hooks
from gpunn.nn import state as _state
from gpunn.nn.errors import locate
from gpunn.nn.tree import Tree
from gpunn.ops.conversion import parse_to
from gpunn.tensor import Tensor

Where: TypeAlias = Device | str | int | None


def _unimplemented(self: Module, *args: Any) -> None:
    """Compute the output: every module with a meaning of its own overrides this."""
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


class Module(Tree):
    """The base of all layers and models.

    Parameters, buffers and modules that are assigned to attributes are registered: they are found
    by ``parameters()``, saved by ``state_dict()`` and moved by ``to()``. Call the module, not its
    ``forward``: the call runs the hooks, and an error inside gets a note that says in which layer.

    >>> import gpunn
    >>> from gpunn import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.weight = nn.Parameter(gpunn.tensor(3.0))
    ...     def forward(self, x):
    ...         return self.weight * x
    >>> Scale()(gpunn.tensor(2.0))
    tensor(6., grad_fn=<MulBackward0>)
    """

    _version: ClassVar[int] = 1
    training: bool
    _forward_pre_hooks: OrderedDict[int, _hooks.ForwardHook]
    _forward_hooks: OrderedDict[int, _hooks.ForwardHook]
    _backward_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _backward_hooks: OrderedDict[int, Callable[..., Any]]
    _state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _state_dict_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]

    def __init__(self) -> None:
        # Straight into __dict__: __setattr__ needs these to work.
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _modules={},
            _forward_pre_hooks=OrderedDict(),
            _forward_hooks=OrderedDict(),
            _backward_pre_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(),
            _state_dict_pre_hooks=OrderedDict(),
            _state_dict_hooks=OrderedDict(),
            _load_state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_post_hooks=OrderedDict(),
        )

    # Calling --------------------------------------------------------------------------------

    forward: Callable[..., Any] = _unimplemented

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Also what forward asks of NumPy itself gets no warnings.
        token = None if errors() is IGNORED else set_errors(IGNORED)
        try:
            if (
                self._forward_hooks
                or self._forward_pre_hooks
                or self._backward_hooks
                or self._backward_pre_hooks
            ):
                return _hooks.call(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            locate(error, self)
            raise
        finally:
            if token is not None:
                reset_errors(token)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before forward; it may return other arguments.

        ``with_kwargs``: ``hook(module, args, kwargs)``, which returns None or ``(args, kwargs)``.
        """
        entry = _hooks.ForwardHook(hook, with_kwargs)
        return _hooks.register(self._forward_pre_hooks, entry, prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after forward; it may return another output.

        ``with_kwargs``: ``hook(module, args, kwargs, output)``. ``always_call``: also when forward
        has raised, with None for an output.
        """
        entry = _hooks.ForwardHook(hook, with_kwargs, always_call)
        return _hooks.register(self._forward_hooks, entry, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` in backward, when the gradients of the
        positional inputs are known; it may return others in their place."""
        return _hooks.register(self._backward_hooks, hook, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` in backward, before it enters the module; it may
        return other gradients of the outputs."""
        return _hooks.register(self._backward_pre_hooks, hook, prepend)

    # Changing the whole tree ----------------------------------------------------------------

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every module of the tree, children first; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set ``training`` everywhere, which dropout and batch normalisation heed."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """As ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train all parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or to zeros."""
        for parameter in self.parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                if gradient.requires_grad:  # made with create_graph
                    parameter.grad = gradient = gradient.detach()
                gradient.zero_()

    # Moving and casting ---------------------------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace every parameter's data and gradient, and every buffer, by what ``fn`` makes.

        Parameters stay the same objects, so that an optimizer that holds them goes on working.
        """
        if recurse:
            for child in self.children():
                child._apply(fn)
        with no_grad():
            for parameter in self._parameters.values():
                if parameter is not None:
                    replace(parameter, fn)
                    if parameter.grad is not None:
                        replace(parameter.grad, fn)
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move to a device, cast to a dtype, or both, in place: ``to("cuda")``,
        ``to(gpunn.float64)``, ``to("cuda:0", gpunn.float16)``, ``to(other_tensor)``.

        Only floating point parameters and buffers are cast. Raises TypeError for another dtype.
        """
        where, dtype, _, non_blocking = parse_to(*args, **kwargs)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )
        return self._apply(
            lambda t: t.to(where, dtype if t.is_floating_point() else None, non_blocking)
        )

    def cpu(self) -> Self:
        """Move to host memory."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Where = None) -> Self:
        """Move to a CUDA device, the current one unless named."""
        return self._apply(lambda t: t.cuda(device))

    def type(self, dst_type: Any) -> Self:
        """Cast all parameters and buffers, integers too."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Cast floating point parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self) -> Self:
        """Cast floating point parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self) -> Self:
        """Cast floating point parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self) -> Self:
        """Cast floating point parameters and buffers to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def to_empty(self, *, device: Where, recurse: bool = True) -> Self:
        """Move to ``device`` without the values, which mean nothing afterwards."""
        return self._apply(lambda t: empty_like(t, device=device), recurse)

    def share_memory(self) -> Self:
        """This module: memory is shared with other processes where the data loader needs it."""
        return self._apply(lambda t: t.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: gpunn compiles nothing."""

    # State ----------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Any]:
        """All parameters and persistent buffers by path: detached, in the live memory.

        ``keep_vars`` gives the parameters themselves.
        """
        return _state.collect(self, destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _state.IncompatibleKeys:
        """Copy the values of ``state_dict`` into this module, which keeps its dtypes and devices.

        With ``assign`` the tensors themselves are taken. Returns the missing and the unexpected
        keys. Raises RuntimeError that lists every misfit (missing and unexpected keys only if
        ``strict``), before anything is changed.
        """
        return _state.load(self, state_dict, strict, assign)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put this module's own state into ``destination``; a subclass may add to it."""
        _state.collect_own(self, destination, prefix, keep_vars)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own state; a subclass may first amend an older ``state_dict``."""
        _state.load_own(
            self,
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )

    def get_extra_state(self) -> Any:
        """What else ``state_dict()`` shall hold; overridden together with ``set_extra_state``."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called."
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what ``get_extra_state`` gave."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called."
        )

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before the state is collected."""
        return _hooks.register(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after; it edits in place."""
        return _hooks.register(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`` before this module's state is loaded."""
        return _hooks.register(self._load_state_dict_pre_hooks, hook)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """The older form, by which models read older files: no module unless ``with_module``."""
        entry = hook if with_module else partial(_without_module, hook)
        return self.register_load_state_dict_pre_hook(entry)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after; it may take keys off the lists."""
        return _hooks.register(self._load_state_dict_post_hooks, hook)

    # Text -----------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What ``repr`` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) == 1 and not self._modules:
            return f"{self._get_name()}({extra})"
        lines += [f"({name}): {indented(repr(child))}" for name, child in self._modules.items()]
        return body(self._get_name(), lines)


def _without_module(hook: Callable[..., Any], module: Module, *args: Any) -> Any:
    return hook(*args)


def indented(text: str) -> str:
    """``text`` with all lines but the first two columns further in."""
    return text.replace("\n", "\n  ")


def body(name: str, lines: list[str]) -> str:
    """``Name(`` with one item a line ``)``."""
    return f"{name}(\n  " + "\n  ".join(lines) + "\n)" if lines else f"{name}()"


def replace(tensor: Tensor, fn: Callable[[Tensor], Tensor]) -> None:
    """Give ``tensor`` the data that ``fn`` makes of it; what saved it for backward will notice."""
    data = fn(tensor)._data
    if data is not tensor._data:
        tensor._data = data
        tensor._version_box = [tensor._version + 1]
