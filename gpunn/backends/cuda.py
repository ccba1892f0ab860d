"""The CUDA backend's switches, with PyTorch's names and defaults; readable without a GPU or CuPy.

How exactly float32 is multiplied, for matrix products and for convolutions.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["conv", "matmul"]

_PRECISIONS = ("ieee", "tf32", "tf32x3")


class Precision:
    """How float32 is multiplied: ``fp32_precision``, or PyTorch's older ``allow_tf32``.

    - ``"ieee"``: in float32;
    - ``"tf32"``: on tensor cores (compute capability 8.0 and later), which see the first 11 of a
      factor's 24 significant bits; sums stay float32;
    - ``"tf32x3"``: on tensor cores, each factor as the sum of two such numbers: as exact as float32
      to some units in the last place, though an infinity may give NaN. Matrix products are then
      made in float32.
    """

    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value
        self._followers: list[Callable[[str], None]] = []

    @property
    def fp32_precision(self) -> str:
        """The precision in force. Setting an unknown one raises RuntimeError."""
        return self._value

    @fp32_precision.setter
    def fp32_precision(self, value: str) -> None:
        if value not in _PRECISIONS:
            raise RuntimeError(
                f"Unknown precision: {value} ({self._name}.fp32_precision; expected one of "
                f"{', '.join(_PRECISIONS)})"
            )
        self._value = value
        for follower in self._followers:
            follower(value)

    @property
    def allow_tf32(self) -> bool:
        """Whether TF32 is used. Setting anything but a bool raises RuntimeError."""
        return self._value == "tf32"

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise RuntimeError(
                f"{self._name}.allow_tf32 expects a bool, but got {type(value).__name__}"
            )
        self.fp32_precision = "tf32" if value else "ieee"

    def follow(self, follower: Callable[[str], None]) -> None:
        """Call ``follower`` with the precision, now and at each change."""
        self._followers.append(follower)
        follower(self._value)


matmul = Precision("matmul", "ieee")
conv = Precision("conv", "tf32")
