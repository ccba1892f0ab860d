"""Parametrizations: a module's tensor as a function of others, computed when it is read."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Generator, Sequence
from typing import Any, cast

from gpunn.autograd.grad_mode import no_grad
from gpunn.nn.container import ModuleDict, ModuleList
from gpunn.nn.module import Module, replace
from gpunn.nn.parameter import Parameter
from gpunn.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_HOME = "parametrizations"
_users_of_cache = 0
_cache: dict[tuple[int, str], Tensor] = {}


@contextlib.contextmanager
def cached() -> Generator[None]:
    """Inside, each parametrized tensor is computed once, the first time that it is read."""
    global _users_of_cache
    _users_of_cache += 1
    try:
        yield
    finally:
        _users_of_cache -= 1
        if not _users_of_cache:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The functions of one tensor, first to last, and what the first is computed from.

    That is ``original``, or ``original0``, ``original1``, ... where ``right_inverse`` gives
    several. Unless ``unsafe``, what comes out must have the dtype and shape that it had before.
    """

    original: Tensor

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        dtype, shape = original.dtype, original.shape
        with no_grad():
            new = self._inverted(original, optional=True)
        self.is_tensor = isinstance(new, Tensor)
        if isinstance(new, Tensor):
            _same("dtype", original.dtype, new.dtype)
            _same("device", original.device, new.device)
            _set(original, new)
            _register(self, "original", original)
            self.ntensors = 1
        elif isinstance(new, Sequence):
            parts = cast("Sequence[Any]", new)
            self.ntensors = len(parts)
            for i, part in enumerate(parts):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, "
                        f"tuple...). Got element {i} of the sequence with type "
                        f"{type(part).__name__}."
                    )
                if isinstance(original, Parameter):
                    part = Parameter(part, original.requires_grad)
                _register(self, f"original{i}", part)
        else:
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        if not unsafe:
            _check(self(), dtype, shape, "unparametrized {}", "parametrized {}", "`unsafe` flag")

    def _inverted(self, value: Any, optional: bool) -> Any:
        """``value`` through the right inverses, last to first; or the value itself if
        ``optional`` and there is none."""
        for module in reversed(list(self)):
            inverse = getattr(module, "right_inverse", None)
            if inverse is not None:
                try:
                    value = inverse(value)
                except NotImplementedError:
                    if not optional:
                        raise
            elif not optional:
                raise RuntimeError(
                    f"parametrization {type(module).__name__} does not implement right_inverse."
                )
        return value

    def _names(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def _originals(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._names()]

    def right_inverse(self, value: Tensor) -> None:
        """Store what the tensor is to be computed from so that it is ``value``."""
        with no_grad():
            new = self._inverted(value, optional=False)
            if self.is_tensor:
                if not isinstance(new, Tensor):
                    raise ValueError(
                        f"`right_inverse` should return a tensor. Got {type(new).__name__}"
                    )
                if new.dtype != self.original.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {new.dtype} while "
                        f"`original` has dtype {self.original.dtype}"
                    )
                new = [new]
            if not isinstance(new, Sequence):
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors. Got {type(new).__name__}."
                )
            parts = cast("Sequence[Any]", new)
            if len(parts) != self.ntensors:
                raise ValueError(
                    "'right_inverse' must return a sequence of tensors of length "
                    f"{self.ntensors}. Got a sequence of length {len(parts)}."
                )
            for i, (held, part) in enumerate(zip(self._originals(), parts, strict=True)):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a sequence of tensors. Got element "
                        f"{i} of type {type(part).__name__}."
                    )
                if part.dtype != held.dtype:
                    raise ValueError(
                        f"Tensor {i} returned by `right_inverse` has dtype {part.dtype} while "
                        f"`original{i}` has dtype {held.dtype}"
                    )
                _set(held, part)

    def forward(self) -> Any:
        first, *rest = self
        x = first(*self._originals())
        for module in rest:
            x = module(x)
        return x


def _same(what: str, old: Any, new: Any) -> None:
    if old != new:
        raise ValueError(
            f"When `right_inverse` outputs one tensor, it may not change the {what}.\n"
            f"original.{what}: {old}\nright_inverse(original).{what}: {new}"
        )


def _check(x: Any, dtype: Any, shape: Any, before: str, after: str, flag: str) -> None:
    """Raise ValueError unless ``x`` is a tensor of that dtype and shape."""
    if not isinstance(x, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(x).__name__}.")
    for what, old, new in (("dtype", dtype, x.dtype), ("shape", shape, x.shape)):
        if old != new:
            raise ValueError(
                f"Registering a parametrization may not change the {what} of the tensor, unless "
                f"{flag} is enabled.\n{before.format(what)}: {old}\n{after.format(what)}: {new}"
            )


def _set(held: Tensor, value: Tensor) -> None:
    """Give ``held`` the memory of ``value``: an optimizer may hold it."""
    if held is not value:
        replace(held, lambda _: value.detach())


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


class _Parametrized(Module):
    """A module some of whose tensors are computed; the class is made for each class it extends."""

    def _lists(self) -> Any:
        found = self.__dict__.get("_modules", {}).get(_HOME)
        return () if found is None else found

    def __getattr__(self, name: str) -> Any:
        lists = self._lists()
        if name not in lists:
            return super().__getattr__(name)
        if not _users_of_cache:
            return lists[name]()
        key = id(self), name
        if key not in _cache:
            _cache[key] = lists[name]()
        return _cache[key]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._lists() and not isinstance(value, Parameter):
            self._lists()[name].right_inverse(value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._lists()})

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        memo[id(self)] = replica = type(self).__new__(type(self))
        replica.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return replica

    def __getstate__(self) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict()."
        )


@functools.cache
def _parametrized(cls: type[Module]) -> type[Module]:
    return type(f"Parametrized{cls.__name__}", (_Parametrized, cls), {"__module__": cls.__module__})


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Have ``module.tensor_name``, when it is read, be ``parametrization`` of what it was.

    What it was becomes ``module.parametrizations.<name>.original``. A ``right_inverse`` of the
    parametrization, if there is one, is used first, and when the tensor is assigned to; it may
    return several tensors, which the parametrization then takes. A second parametrization comes
    after the first. Unless ``unsafe``, dtype and shape must stay: ValueError.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        held = _lists_of(module)[tensor_name]
        if not unsafe:
            _check_next(module, tensor_name, parametrization)
        held.append(parametrization)
        held.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        made = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.__class__ = _parametrized(type(module))
            module.parametrizations = ModuleDict()
        _lists_of(module)[tensor_name] = made
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    return module


def _lists_of(module: Module) -> Any:
    return getattr(module, _HOME)


def _check_next(module: Module, name: str, parametrization: Module) -> None:
    """Raise ValueError if ``parametrization``, or its inverse, changes what it is to follow."""
    y: Tensor = getattr(module, name)
    x: Any = parametrization(y)
    before, after = f"module.{name}.{{}}", f"parametrization(module.{name}).{{}}"
    _check(x, y.dtype, y.shape, before, after, "the `unsafe` flag")
    inverse = getattr(parametrization, "right_inverse", None)
    if inverse is None:
        return
    try:
        z = inverse(x)
    except NotImplementedError:
        return
    if not isinstance(z, Tensor):
        raise ValueError(
            f"parametrization.right_inverse must return a tensor. Got: {type(z).__name__}"
        )
    for what, old, new in (("dtype", y.dtype, z.dtype), ("shape", y.shape, z.shape)):
        if old != new:
            raise ValueError(
                f"The tensor returned by parametrization.right_inverse must have the same {what} "
                f"as module.{name}, unless the `unsafe` flag is enabled.\n"
                f"module.{name}.{what}: {old}\nreturned {what}: {new}"
            )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether ``module`` has a parametrization, of ``tensor_name`` if that is given."""
    lists = getattr(module, _HOME, None)
    if not isinstance(lists, ModuleDict):
        return False
    return len(lists) > 0 if tensor_name is None else tensor_name in lists


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Have ``module.tensor_name`` be a plain parameter or buffer again.

    Its value is what it was computed to be, or the original one without ``leave_parametrized``,
    which raises ValueError where the original is several tensors.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    held: ParametrizationList = _lists_of(module)[tensor_name]
    if held.is_tensor:
        tensor = held.original
        if leave_parametrized:
            with no_grad():
                _set(tensor, getattr(module, tensor_name))
    elif leave_parametrized:
        computed: Tensor = getattr(module, tensor_name)
        tensor = Parameter(computed.detach()) if computed.requires_grad else computed
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    del _lists_of(module)[tensor_name]
    if not is_parametrized(module):
        delattr(module, _HOME)
        module.__class__ = type_before_parametrizations(module)
    _register(module, tensor_name, tensor)
    return module


def type_before_parametrizations(module: Module) -> type[Module]:
    """The class of ``module``, or what it was before the first parametrization."""
    cls = type(module)
    return cls.__bases__[-1] if isinstance(module, _Parametrized) else cls


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give ``to_module`` the parametrizations of ``from_module``, and what they compute from.

    Of ``tensor_name`` alone if that is given. Both share them afterwards. Returns ``to_module``.
    """
    if not is_parametrized(from_module):
        return to_module
    for name in list(_lists_of(from_module)) if tensor_name is None else [tensor_name]:
        held = _lists_of(from_module)[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in held:
            register_parametrization(to_module, name, parametrization)
        for original in held._names():
            setattr(_lists_of(to_module)[name], original, getattr(held, original))
    return to_module
