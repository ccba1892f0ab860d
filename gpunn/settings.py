"""Switches that PyTorch scripts set for the whole process, and what they come to here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.backends import cuda

_PRECISIONS = {"highest": "ieee", "high": "tf32", "medium": "tf32"}
_MODES = ("default", "warn", "error")
_deterministic = 0


def set_float32_matmul_precision(precision: str) -> None:
    """How exactly CUDA multiplies float32 matrices: "highest" in float32, "high" or "medium" TF32.

    As ``backends.cuda.matmul.allow_tf32``. Raises ValueError for another word.
    """
    if precision not in _PRECISIONS:
        raise ValueError(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current setting stays"
        )
    cuda.matmul.fp32_precision = _PRECISIONS[precision]


def get_float32_matmul_precision() -> str:
    """ "high" where TF32 is allowed for matrix products, else "highest"."""
    return "high" if cuda.matmul.allow_tf32 else "highest"


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted and remembered: every operation of gpunn is deterministic whatever is set."""
    if not isinstance(mode, bool):
        raise TypeError(
            "_set_deterministic_algorithms(): argument 'mode' (position 1) must be bool, not "
            f"{type(mode).__name__}"
        )
    set_deterministic_debug_mode((1 if warn_only else 2) if mode else 0)


def are_deterministic_algorithms_enabled() -> bool:
    """What ``use_deterministic_algorithms`` was told."""
    return _deterministic > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether ``use_deterministic_algorithms`` was told to warn only."""
    return _deterministic == 1


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same by number or word: 0 "default", 1 "warn", 2 "error"."""
    global _deterministic
    if isinstance(debug_mode, str):
        if debug_mode not in _MODES:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                f"{debug_mode}"
            )
        debug_mode = _MODES.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}"
        )
    _deterministic = debug_mode


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2, as it was set."""
    return _deterministic


def compile(model: Any = None, **options: Any) -> Any:
    """``model`` as it is: gpunn runs operations when they are called, and compiles nothing.

    Also a decorator, with or without options.
    """
    if model is None:
        unchanged: Callable[[Any], Any] = lambda function: function  # noqa: E731
        return unchanged
    return model
