"""Modules made without drawing first values for their parameters."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from gpunn.nn.module import Module

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """``module_cls(*args, **kwargs)`` without its ``reset_parameters``: values mean nothing yet.

    Modules inside it still draw theirs. Raises RuntimeError for what is no Module, or takes no
    ``device``.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    quiet: Any = type(module_cls.__name__, (module_cls,), {"reset_parameters": _nothing})
    module = quiet(*args, **kwargs)
    module.__class__ = module_cls
    return module


def _nothing(module: Module) -> None:
    """In place of ``reset_parameters``."""
