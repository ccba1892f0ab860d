"""Hooks around the steps of optimizers, and around their state."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, cast

from gpunn.autograd import steps
from gpunn.autograd.variable import RemovableHandle

Hooks = OrderedDict[int, Callable[..., Any]]
_before_any: Hooks = OrderedDict()
_after_any: Hooks = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before each step of any optimizer."""
    return RemovableHandle.add(_before_any, hook)


def register_optimizer_step_post_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after each step of any optimizer."""
    return RemovableHandle.add(_after_any, hook)


class Hooked:
    """What takes hooks: the part of ``Optimizer`` that registers and calls them."""

    def __init__(self) -> None:
        self._hooks: defaultdict[str, Hooks] = defaultdict(OrderedDict)
        self._stepping = self._stepped = False

    def _registered(
        self, moment: str, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        handle = RemovableHandle.add(self._hooks[moment], hook)
        if prepend:
            self._hooks[moment].move_to_end(handle.id, last=False)
        return handle

    def _called(self, moment: str) -> list[Callable[..., Any]]:
        return list(self._hooks[moment].values()) if moment in self._hooks else []

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new
        ``(args, kwargs)``. The first of ``args`` is the optimizer, as in PyTorch."""
        return self._registered("before step", hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._registered("after step", hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[[Any], None], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before ``state_dict``."""
        return self._registered("before state_dict", hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[[Any, Any], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after ``state_dict``; it may return another."""
        return self._registered("after state_dict", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[[Any, Any], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before ``load_state_dict``; it may return another.

        It gets a copy, whose entries are those of the dict that was given.
        """
        return self._registered("before load", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[[Any], None], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after ``load_state_dict``."""
        return self._registered("after load", hook, prepend)


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` between the optimizer's hooks, once also where it calls ``super().step()``."""

    @functools.wraps(step)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:
            return step(self, *args, **kwargs)
        given: tuple[Any, ...] = (self, *args)  # as PyTorch has it
        for hook in [*_before_any.values(), *self._called("before step")]:
            changed: Any = hook(self, given, kwargs)
            if changed is None:
                continue
            if type(changed) is not tuple or len(cast("tuple[Any, ...]", changed)) != 2:
                raise RuntimeError(
                    f"{type(self).__name__}'s step pre-hook must return None or a tuple of "
                    f"(new_args, new_kwargs), but got {changed}."
                )
            given, kwargs = cast("tuple[Any, Any]", changed)
        self._stepping = True
        try:
            result = step(*given, **kwargs)
        finally:
            self._stepping = False
        for hook in [*self._called("after step"), *_after_any.values()]:
            hook(self, given, kwargs)
        self._stepped = True  # a scheduler asks
        steps.note(self, self.param_groups)
        return result

    return wrapped
