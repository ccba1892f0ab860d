"""NumPy's floating-point warnings off: like PyTorch, log(0) is -inf without a word.

``numpy.errstate`` takes longer than a small operation. What it does is to set a context variable of
NumPy's, which takes a sixth of that: the variable is found here by watching it.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import numpy


class _Errstate:
    """``numpy.errstate`` in the way of a context variable, for a NumPy that has none."""

    def get(self) -> Any:
        return self  # which is not IGNORED

    def set(self, value: Any) -> Any:
        switch = numpy.errstate(all="ignore")
        switch.__enter__()
        return switch

    def reset(self, token: Any) -> None:
        token.__exit__(None, None, None)


def _set_by_errstate() -> tuple[Any, Any]:
    """The variable, and what it holds where all errors are ignored."""
    before = copy_context()
    with numpy.errstate(all="ignore"):
        inside = copy_context()
    changed = [(v, inside[v]) for v in inside if v not in before or before[v] is not inside[v]]
    return changed[0] if len(changed) == 1 else (_Errstate(), None)


_variable, IGNORED = _set_by_errstate()
# `token = set_errors(IGNORED)`, and afterwards `reset_errors(token)`; needless where `errors()` is
# IGNORED already.
errors, set_errors, reset_errors = _variable.get, _variable.set, _variable.reset


class quiet:  # noqa: N801
    """The same as a context manager."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = set_errors(IGNORED)

    def __exit__(self, *_: object) -> None:
        reset_errors(self._token)
