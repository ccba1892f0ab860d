"""Where in a model an error arose: a note such as ``in features.3 (Conv2d)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpunn.nn.module import Module


class _Place(str):
    """The note's text. ``passed`` is the id of the last module that the error left."""

    path: str
    innermost: str
    passed: int


def locate(error: BaseException, module: Module) -> None:
    """Note on ``error``, which is about to leave ``module``, the path to where it arose.

    The path is extended by each module that the error passes, so that at the end the one note
    leads from the outermost module called to the innermost.
    """
    notes = getattr(error, "__notes__", [])
    place = next((note for note in notes if isinstance(note, _Place)), None)
    if place is None:
        error.add_note(_place("", type(module).__name__, module))
    elif place.passed != id(module):
        name = _name_within(module, place)
        path = f"{name}.{place.path}" if place.path else name
        notes[notes.index(place)] = _place(path, place.innermost, module)


def _place(path: str, innermost: str, module: Module) -> _Place:
    place = _Place(f"in {path} ({innermost})" if path else f"in {innermost}")
    place.path, place.innermost, place.passed = path, innermost, id(module)
    return place


def _name_within(module: Module, place: _Place) -> str:
    """The name of the module that the error left last; ``?`` where ``module`` does not hold it."""
    for name, child in module.named_modules():
        if id(child) == place.passed:
            return name
    return "?"
