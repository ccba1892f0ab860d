"""What is said of a name that gpunn does not have: that it has not, and what comes near."""

from __future__ import annotations

import importlib
from typing import Any

# PyTorch's names whose equivalent has another.
_INSTEAD = {
    "eig": "gpunn.linalg.eigh, for symmetric matrices",
    "func": "gpunn.autograd.functional, and gpunn.nn.utils.stateless.functional_call",
    "jit": "the function itself: gpunn compiles nothing",
    "lstsq": "gpunn.linalg.lstsq",
    "lu": "gpunn.linalg.solve",
    "matrix_rank": "gpunn.linalg.matrix_rank",
    "solve": "gpunn.linalg.solve",
    "symeig": "gpunn.linalg.eigh",
    "vmap": "a leading dimension: operations broadcast",
}
_NEVER = {
    "complex": "complex numbers",
    "sparse": "sparse tensors",
    "quantiz": "quantized tensors",
    "distributed": "training over several processes",
    "fft": "Fourier transforms",
}


def refuse_others(module: dict[str, Any]) -> None:
    """Have a module (its ``globals()``) raise AttributeError, with a hint, for other names.

    Type checkers, which believe a written ``__getattr__``, go on reporting them.

    >>> refuse_others(module := {"__name__": "gpunn", "__all__": ["softmax", "log_softmax"]})
    >>> module["__getattr__"]("softmx")
    Traceback (most recent call last):
    AttributeError: module 'gpunn' has no attribute 'softmx'; did you mean softmax?
    """

    def refuse(name: str) -> Any:
        hint = _hint(name, module["__all__"])
        raise AttributeError(f"module '{module['__name__']}' has no attribute '{name}'{hint}")

    module["__getattr__"] = refuse


def _hint(name: str, known: list[str]) -> str:
    if name.startswith("_"):  # Python's own questions
        return ""
    if name in _INSTEAD:
        return f"; use {_INSTEAD[name]}"
    lacking = next((what for part, what in _NEVER.items() if part in name), None)
    if lacking is not None:
        return f": gpunn has no {lacking}"
    difflib = importlib.import_module("difflib")  # for the few who ask
    near: list[str] = difflib.get_close_matches(name, known, 1, 0.75)
    return f"; did you mean {near[0]}?" if near else ""
