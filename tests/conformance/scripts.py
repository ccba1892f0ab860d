"""Small programs as calls: run with either library for ``torch``, they must come to the same."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from conformance.calls import Call, call


def runner(lib: Any, name: str) -> Callable[[str], Any]:
    """What runs a program that says ``torch``, and gives its last line's value."""

    def run(program: str) -> Any:
        *body, last = ast.parse(program).body
        scope: dict[str, Any] = {"torch": lib, "nn": lib.nn, "F": lib.nn.functional}
        exec(compile(ast.Module(body, []), name, "exec"), scope)  # the programs below
        return _plain(eval(compile(ast.Expression(last.value), name, "eval"), scope))  # type: ignore[attr-defined]

    return run


def _plain(value: Any) -> Any:
    """``value`` as tensors, texts and sequences of them."""
    if hasattr(value, "detach"):
        return ["Parameter" * str(value).startswith("P"), str(value.requires_grad), value.detach()]
    if isinstance(value, Mapping):
        return [_plain(pair) for pair in value.items()]
    if isinstance(value, (list, tuple)) and not hasattr(value, "numel"):
        # A named tuple is told from others by its text.
        return [_plain(v) for v in value] if type(value) in (list, tuple) else repr(value)
    if hasattr(value, "__next__"):
        return [_plain(v) for v in value]
    return repr(value).replace("torch.", "gpunn.").replace(".nn.modules.", ".nn.")


def programs(text: str) -> list[Call]:
    """The programs of ``text``, parted by empty lines."""
    return [call(part.strip("\n")) for part in text.split("\n\n") if part.strip()]
