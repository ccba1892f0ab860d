"""A module's state: taking it as ``state_dict()``, and giving it back, with PyTorch's report."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gpunn.autograd.grad_mode import no_grad
from gpunn.nn.parameter import Parameter, is_lazy
from gpunn.tensor import Tensor

if TYPE_CHECKING:
    from gpunn.nn.module import Module

_EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` did not find, and what it did not look for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )

    __str__ = __repr__


# Taking -------------------------------------------------------------------------------------


def collect(module: Module, destination: Any, prefix: str, keep_vars: bool) -> Any:
    """``module.state_dict()``, into ``destination`` where one is given."""
    if destination is None:
        destination = OrderedDict[str, Any]()
        destination._metadata = OrderedDict[str, Any]()
    metadata = {"version": module._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = metadata
    for hook in module._state_dict_pre_hooks.values():
        hook(module, prefix, keep_vars)
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(
                destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
    for hook in module._state_dict_hooks.values():
        if hook(module, destination, prefix, metadata) is not None:
            raise RuntimeError("state_dict post-hook must return None")
    return destination


def collect_own(module: Module, destination: Any, prefix: str, keep_vars: bool) -> None:
    """The parameters, persistent buffers and extra state of ``module`` itself."""
    for name, tensor in own_state(module).items():
        destination[prefix + name] = tensor if keep_vars or is_lazy(tensor) else tensor.detach()
    if overrides(module, "get_extra_state"):
        destination[prefix + _EXTRA] = module.get_extra_state()


def own_state(module: Module) -> dict[str, Tensor]:
    """The tensors of ``module`` itself that are saved, by name."""
    state: dict[str, Tensor] = {k: p for k, p in module._parameters.items() if p is not None}
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            state[name] = buffer
    return state


def overrides(module: Module, method: str) -> bool:
    """Whether the class of ``module`` has a ``method`` of its own."""
    base = next(c for c in reversed(type(module).__mro__) if method in vars(c))
    return getattr(type(module), method) is not vars(base)[method]


# Giving back --------------------------------------------------------------------------------


class _Loading:
    """One ``load_state_dict``: what is found on the way through the modules, copies still to do."""

    def __init__(self, metadata: Mapping[str, Any], assign: bool) -> None:
        self.metadata = metadata
        self.assign = assign
        self.missing, self.unexpected, self.errors = list[str](), list[str](), list[str]()
        self.copies: list[Callable[[], None]] = []
        self.hooks: list[tuple[Module, Callable[..., Any]]] = []

    def visit(self, module: Module, state_dict: OrderedDict[str, Any], prefix: str) -> None:
        """Look at the part of ``state_dict`` for ``module`` and all below it."""
        local = {**self.metadata.get(prefix[:-1], {}), "copies": self.copies}
        if self.assign:
            local["assign_to_params_buffers"] = True
        module._load_from_state_dict(
            state_dict, prefix, local, True, self.missing, self.unexpected, self.errors
        )
        for name, child in module._modules.items():
            if child is not None:
                start = f"{prefix}{name}."
                part = ((k, v) for k, v in state_dict.items() if k.startswith(start))
                self.visit(child, OrderedDict(part), start)
        self.hooks.extend((module, hook) for hook in module._load_state_dict_post_hooks.values())

    def refuse(self, module: Module, strict: bool) -> None:
        """Raise RuntimeError where there is something to report."""
        report = list(self.errors)
        if strict and self.unexpected:
            keys = ", ".join(f'"{k}"' for k in self.unexpected)
            report.insert(0, f"Unexpected key(s) in state_dict: {keys}. ")
        if strict and self.missing:
            keys = ", ".join(f'"{k}"' for k in self.missing)
            report.insert(0, f"Missing key(s) in state_dict: {keys}. ")
        if report:
            lines = "\n\t".join(report)
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{lines}"
            )


def load(
    module: Module, state_dict: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """``module.load_state_dict(state_dict)``: look at everything first, then copy."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    loading = _Loading(getattr(state_dict, "_metadata", None) or {}, assign)
    loading.visit(module, OrderedDict(state_dict), "")
    if loading.errors or not loading.hooks:
        loading.refuse(module, strict)
    for copy in loading.copies:
        copy()
    found = IncompatibleKeys(loading.missing, loading.unexpected)
    for owner, hook in loading.hooks:  # may take keys off the lists, and want the values in place
        if hook(owner, found) is not None:
            raise AssertionError(
                "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to "
                "return new values, if incompatible_keys need to be modified, it should be done "
                "inplace."
            )
    loading.refuse(module, strict)
    return found


def load_own(
    module: Module,
    state_dict: Any,
    prefix: str,
    metadata: dict[str, Any],
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Check the part of ``state_dict`` for ``module`` itself, and copy it, or note the copies to
    be made in ``metadata["copies"]`` where the caller wants to make them later."""
    for hook in module._load_state_dict_pre_hooks.values():
        hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)
    copies: list[Callable[[], None]] = []
    assign = bool(metadata.get("assign_to_params_buffers", False))
    state = own_state(module)
    for name, target in state.items():
        key = prefix + name
        if key in state_dict:
            source = state_dict[key]
            problem = _problem(key, target, source)
            if problem:
                errors.append(problem)
            else:
                copies.append(_copy(module, name, key, target, source, assign))
        elif strict:
            missing.append(key)

    extra = prefix + _EXTRA
    if overrides(module, "set_extra_state"):
        if extra in state_dict:
            copies.append(lambda: module.set_extra_state(state_dict[extra]))
        elif strict:
            missing.append(extra)
    elif strict and extra in state_dict:
        unexpected.append(extra)
    if strict:
        for key in state_dict:
            if key.startswith(prefix) and key != extra:
                name, dot, _ = key[len(prefix) :].partition(".")
                if name not in (module._modules if dot else state):
                    unexpected.append(key)

    if "copies" in metadata:
        metadata["copies"].extend(copies)
    else:
        for copy in copies:
            copy()


def _problem(key: str, target: Tensor, source: Any) -> str | None:
    if not isinstance(source, Tensor):
        return (
            f'While copying the parameter named "{key}", expected gpunn.Tensor or Tensor-like '
            f"object from checkpoint but received {type(source)}"
        )
    if is_lazy(target):
        return None
    if source.shape != target.shape and not (target.ndim == 0 and source.shape == (1,)):
        return (
            f"size mismatch for {key}: copying a param with shape {source.shape} from checkpoint, "
            f"the shape in current model is {target.shape}."
        )
    return None


def _copy(
    module: Module, name: str, key: str, target: Tensor, source: Tensor, assign: bool
) -> Callable[[], None]:
    def copy() -> None:
        if is_lazy(target):
            if is_lazy(source):
                return
            target.materialize(source.shape)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        value = source if source.shape == target.shape else source[0]
        if not assign:
            try:
                with no_grad():
                    target.copy_(value)
            except Exception as error:
                error.add_note(f'while copying the parameter named "{key}"')
                raise
        elif not isinstance(target, Parameter):
            setattr(module, name, value)
        elif isinstance(value, Parameter):
            setattr(module, name, value.requires_grad_(target.requires_grad))
        else:
            setattr(module, name, Parameter(value.detach(), target.requires_grad))

    return copy
