"""Where in a model an error arose: a note such as ``in features.3 (Conv2d)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpunn.nn.module import Module


class _Place(str):
    """The note's text, and what is needed to extend it (no module: errors get pickled)."""

    path: tuple[str, ...]
    innermost: str  # the class of the module in which the error arose
    left: int  # the id of the module that the error left last,
    left_class: str  # and its class


def locate(error: BaseException, module: Module) -> None:
    """Note on ``error``, which is about to leave ``module``, the path to where it arose.

    Each module that the error leaves extends the path, so that at the end the one note leads from
    the outermost module called to the innermost.
    """
    notes = getattr(error, "__notes__", [])
    place = next((note for note in notes if isinstance(note, _Place)), None)
    if place is None:
        error.add_note(_place((), type(module).__name__, module))
    elif place.left != id(module):
        path = (_name_within(module, place), *place.path)
        notes[notes.index(place)] = _place(path, place.innermost, module)


def _place(path: tuple[str, ...], innermost: str, module: Module) -> _Place:
    place = _Place(f"in {'.'.join(path)} ({innermost})" if path else f"in {innermost}")
    place.path, place.innermost = path, innermost
    place.left, place.left_class = id(module), type(module).__name__
    return place


def _name_within(module: Module, place: _Place) -> str:
    """The name, in ``module``, of the one that the error left last; its class if not held there."""
    for name, child in module.named_modules():
        if id(child) == place.left:
            return name
    return f"<{place.left_class}>"
