"""Where a tensor lives: ``device("cpu")`` or ``device("cuda:0")``; knows names, not hardware."""

from __future__ import annotations

import re
import threading

_PATTERN = re.compile(r"(cpu|cuda)(?::(0|[1-9]\d*))?")


class _Defaults(threading.local):
    """This thread's default devices, the innermost last."""

    def __init__(self) -> None:
        self.stack: list[device] = []


_defaults = _Defaults()


class device:  # noqa: N801  (PyTorch's name)
    """A device by type and index.

    >>> device("cuda:1"), device("cuda", 1) == device("cuda:1")
    (device(type='cuda', index=1), True)

    ``device("cuda")`` has no index: it means the current CUDA device. Inside ``with device(...):``
    new tensors lie there unless they are told otherwise. Raises RuntimeError for a device that
    gpunn does not know.
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: str | int | device, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        if isinstance(type, int) and not isinstance(type, bool) and index is None:
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device() expected a string such as 'cuda:0', got {type!r}")
        match = _PATTERN.fullmatch(type)
        if match is None:
            head = type.partition(":")[0]
            if head in ("cpu", "cuda"):
                raise RuntimeError(f"Invalid device string: '{type}'")
            raise RuntimeError(
                f"Expected one of cpu, cuda device type at start of device string: {head}"
            )
        if match[2] is not None:
            if index is not None:
                raise RuntimeError(
                    "type (string) must not include an index because index was passed explicitly: "
                    f"{type}"
                )
            index = int(match[2])
        if index is not None and index < 0:
            raise RuntimeError(f"Device index must not be negative, got {index}")
        if match[1] == "cpu" and index:
            raise RuntimeError(f"CPU device index must be 0 or left out, got {index}")
        self.type, self.index = match[1], index

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, device):
            return NotImplemented
        return self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return device, (str(self),)

    def __enter__(self) -> device:
        _defaults.stack.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _defaults.stack.pop()


_CPU = device("cpu")


def get_default_device() -> device:
    """Where new tensors lie that are not told: the CPU unless set, or inside a device's block."""
    return _defaults.stack[-1] if _defaults.stack else _CPU


def set_default_device(device: device | str | int | None) -> None:
    """Make ``device`` the one where new tensors lie in this thread; None: the CPU again."""
    _defaults.stack[:] = [] if device is None else [_device(device)]


_device = device  # which an argument of PyTorch's hides
