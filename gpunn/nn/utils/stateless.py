"""Calling a module with other tensors in place of its parameters and buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from typing import Any, cast

from gpunn.nn.module import Module
from gpunn.tensor import Tensor

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with the tensors of a dict, by path, in place of its own.

    Gradients go to the tensors given; the module is afterwards as it was. Several dicts count as
    one, and must have different keys: ValueError. ``args`` that are no tuple are one argument.
    With ``tie_weights`` a tensor given for one path stands on every path of the same parameter.
    ``strict``: RuntimeError for paths that are missing or unexpected.
    """
    given = _merged(parameters_and_buffers)
    if not isinstance(args, tuple):
        args = () if args is None else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*cast("tuple[Any, ...]", args), **(kwargs or {}))


def _merged(dicts: Any) -> dict[str, Tensor]:
    if isinstance(dicts, dict):
        return cast("dict[str, Tensor]", dicts)
    if not isinstance(dicts, Sequence):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(dicts)}"
        )
    merged: dict[str, Tensor] = {}
    for part in cast("Sequence[Any]", dicts):
        if not isinstance(part, dict):
            raise ValueError(
                "Expected all elements of parameter_and_buffer_dicts to be dictionaries"
            )
        more = cast("dict[str, Tensor]", part)
        repeated = [key for key in more if key in merged]
        if repeated:
            raise ValueError(
                f"{repeated} appeared in multiple dictionaries; behavior of functional call is "
                "ambiguous"
            )
        merged.update(more)
    return merged


@contextlib.contextmanager
def _replaced(
    module: Module, given: dict[str, Tensor], tie_weights: bool, strict: bool
) -> Generator[None]:
    """Inside, ``module`` has the tensors ``given``; what it replaces among them they become."""
    own: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    own.update(module.named_buffers(remove_duplicate=False))
    tensors = _untied(own, given) if tie_weights else given
    if strict:
        _check_paths(module, own, tensors)
    places: list[tuple[dict[str, Any], str, str]] = []
    for path in tensors:
        owner_path, _, name = path.rpartition(".")
        owner = module.get_submodule(owner_path)
        held: dict[str, Any] = owner._parameters if name in owner._parameters else owner._buffers
        if name in held:
            places.append((held, name, path))
    before = [held[name] for held, name, _ in places]
    try:
        for held, name, path in places:
            held[name] = tensors[path]
        yield
    finally:
        for (held, name, path), tensor in zip(places, before, strict=True):
            if path in given:
                given[path] = held[name]
            held[name] = tensor


def _untied(own: dict[str, Tensor], given: dict[str, Tensor]) -> dict[str, Tensor]:
    """``given``, each on all paths of the tensor that it stands for."""
    paths: dict[int, list[str]] = {}
    for path, tensor in own.items():
        paths.setdefault(id(tensor), []).append(path)
    result = dict(given)
    for tied in paths.values():
        values = {id(given[path]): given[path] for path in tied if path in given}
        if len(values) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(tied)}, which are tied. "
                "Consider using tie_weights=False"
            )
        for value in values.values():
            result.update(dict.fromkeys(tied, value))
    return result


def _check_paths(module: Module, own: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    problems: list[str] = []
    for what, keys, known in (("Unexpected", given, own), ("Missing", own, given)):
        odd = sorted(key for key in keys if key not in known)
        if odd:
            problems.append(f"{what} key(s): {', '.join(map(repr, odd))}.")
    if problems:
        lines = "\n\t".join(problems)
        raise RuntimeError(f"Error(s) in reparametrizing for {module._get_name()}:\n\t{lines}")
