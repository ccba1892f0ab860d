"""Indices out of range: refused before they are used."""

from __future__ import annotations

from typing import Any

from gpunn.backends.reference.array import ArrayPrimitives


class IndexPrimitives(ArrayPrimitives):
    """One question; a device may answer it later than it was asked."""

    def check_indices(
        self,
        operation: str,
        index: Any,
        low: int,
        high: int,
        text: str,
        error: type[Exception] = IndexError,
        ignored: int | None = None,
    ) -> None:
        """Raise ``error`` unless low <= index < high everywhere, or index is ``ignored``.

        ``text`` may name ``{value}``, the first that is wrong, ``{low}`` and ``{high}``. On a CUDA
        device nothing waits: IndexError, which names the ``operation`` too, comes at the next
        synchronisation, and what was computed meanwhile is to be thrown away.
        """
        wrong = (index < low) | (index >= high)
        if ignored is not None:
            wrong &= index != ignored
        if wrong.any():
            raise error(text.format(value=int(index[wrong][0]), low=low, high=high))

    def check_all(
        self, operation: str, right: Any, text: str, error: type[Exception] = RuntimeError
    ) -> None:
        """Raise ``error(text)`` unless ``right``, an array of bools, is true everywhere.

        On a CUDA device at the next synchronisation, as in ``check_indices``.
        """
        if not right.all():
            raise error(text)

    def check_places(self, operation: str, x: Any, places: tuple[Any, ...]) -> None:
        """As ``check_indices``, for ``x[places]``: arrays of integers, and slices.

        NumPy checks when it indexes; a device that does not overrides this.
        """
