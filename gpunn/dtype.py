"""Element types and PyTorch's promotion rules; knows NumPy's dtypes, nothing of tensors.

bfloat16 is that of the package ml_dtypes, which is imported when an array of it is first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

FLOATING = "fV"  # NumPy's kinds of floats; V, which nothing else here has, is bfloat16's
# What operations must look for besides their arguments: "bfloat16" once an array of it may exist,
# "autocast" inside its regions. Empty for who uses neither, whom it costs one look.
in_use: list[str] = []


class dtype:  # noqa: N801  (PyTorch's name)
    """An element type, as ``gpunn.float32``; ``numpy`` is the NumPy dtype of the arrays."""

    __slots__ = ("is_floating_point", "itemsize", "kind", "name", "numpy", "title")

    # Defined below, one object each; the class holds no others.
    is_complex = False

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title  # PyTorch's other name: FloatTensor, "not implemented for 'Float'"
        if name == "bfloat16":
            self.itemsize, kind = 2, "V"
        else:
            self.numpy = np.dtype(name)
            self.itemsize, kind = self.numpy.itemsize, self.numpy.kind
        # Promotion looks at the category first: bool (0) < integer (1) < float (2).
        self.kind = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2}[kind]
        self.is_floating_point = self.kind == 2

    if TYPE_CHECKING:
        numpy: np.dtype[np.generic]
    else:

        def __getattr__(self, name: str) -> Any:  # the slot is empty: bfloat16.numpy, at first use
            if name != "numpy" or self.name != "bfloat16":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self.numpy = np.dtype(_ml_dtypes().bfloat16)
            from_numpy_dtype[self.numpy] = self
            in_use.append("bfloat16")
            return self.numpy

    @property
    def is_signed(self) -> bool:
        return self.kind == 2 or self.name.startswith("int")

    def __repr__(self) -> str:
        return f"gpunn.{self.name}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return as_dtype, (self.name,)


bool_ = dtype("bool", "Bool")
uint8 = dtype("uint8", "Byte")
int8 = dtype("int8", "Char")
int16 = short = dtype("int16", "Short")
int32 = int_ = dtype("int32", "Int")
int64 = long = dtype("int64", "Long")
float16 = half = dtype("float16", "Half")
bfloat16 = dtype("bfloat16", "BFloat16")
float32 = float_ = dtype("float32", "Float")
float64 = double = dtype("float64", "Double")

DTYPES = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)


class _FromNumpy(dict["np.dtype[np.generic]", dtype]):
    def __missing__(self, key: np.dtype[np.generic]) -> dtype:
        if key in self:
            return bfloat16
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if super().__contains__(key):
            return True
        return getattr(key, "name", "") == "bfloat16" and bfloat16.numpy == key


from_numpy_dtype = _FromNumpy({t.numpy: t for t in DTYPES if t is not bfloat16})
_aliases: dict[object, dtype] = {
    **{t.name: t for t in DTYPES},
    bool: bool_,
    int: int64,
    float: float64,
}
_default = float32


def as_dtype(obj: object) -> dtype:
    """The gpunn dtype for a gpunn or NumPy dtype, a name, or ``bool``, ``int``, ``float``.

    Raises TypeError for an element type gpunn does not have (complex, unsigned words, objects).
    """
    if isinstance(obj, dtype):
        return obj
    found = _aliases.get(obj)
    if found is None:
        try:
            found = from_numpy_dtype[np.dtype(obj)]  # pyright: ignore[reportArgumentType, reportCallIssue]
        except (TypeError, ValueError, KeyError):
            found = None
    if found is None:
        names = ", ".join(t.name for t in DTYPES)
        raise TypeError(f"{obj!r} is not a dtype of gpunn, which has {names}")
    return found


def _ml_dtypes() -> Any:
    import ml_dtypes  # 3 ms, for few

    return ml_dtypes


def get_default_dtype() -> dtype:
    """The dtype of Python floats and of creation functions: float32 unless changed."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make ``d``, a floating-point dtype, the default one."""
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    _default = d


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that holds both, as PyTorch has it: a float beats every integer.

    >>> promote_types(uint8, int8)
    gpunn.int16
    >>> promote_types(int64, float16)
    gpunn.float16
    >>> promote_types(bfloat16, float16)
    gpunn.float32
    """
    if type1 is type2:
        return type1
    if type1.kind != type2.kind:
        return type1 if type1.kind > type2.kind else type2
    if bfloat16 in (type1, type2):  # NumPy does not know it; no half holds the other
        other = type2 if type1 is bfloat16 else type1
        return float32 if other is float16 else other
    return from_numpy_dtype[np.promote_types(type1.numpy, type2.numpy)]


def accumulator(kind: np.dtype[Any]) -> np.dtype[Any]:
    """The NumPy dtype in which numbers of ``kind`` are added up: float32 for the 16-bit floats."""
    return float32.numpy if kind.kind in FLOATING and kind.itemsize == 2 else kind


def scalar_dtype(value: object) -> dtype:
    """The dtype that a Python (or NumPy) number stands for on its own."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (float, np.floating)):
        return _default
    raise TypeError(f"expected a number, got {type(value).__name__}: {value!r}")


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether an in-place result of dtype ``from_`` may be stored as ``to`` (category-wise)."""
    return from_.kind <= to.kind


class finfo:  # noqa: N801
    """Limits of a floating-point dtype: ``bits, eps, max, min, tiny, smallest_normal``."""

    def __init__(self, type: dtype | None = None) -> None:
        self.dtype = _default if type is None else type
        if not self.dtype.is_floating_point:
            raise TypeError(
                "gpunn.finfo() requires a floating point input type. "
                f"Use gpunn.iinfo to handle {self.dtype!r}"
            )
        limits: Any = _ml_dtypes().finfo if self.dtype is bfloat16 else np.finfo
        info = limits(self.dtype.numpy)
        self.bits = info.bits
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 10.0**-info.precision


class iinfo:  # noqa: N801
    """Limits of an integer dtype: ``bits, max, min``."""

    def __init__(self, type: dtype) -> None:
        self.dtype = type
        if self.dtype.kind != 1:
            raise TypeError(
                "gpunn.iinfo() requires an integer input type. "
                f"Use gpunn.finfo to handle {self.dtype!r}"
            )
        info = np.iinfo(type.name)
        self.bits, self.max, self.min = info.bits, int(info.max), int(info.min)
