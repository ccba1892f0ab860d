"""``gpunn.testing``: ``assert_close``, for tests of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy

from gpunn.autograd.variable import Variable, is_sequence
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, bfloat16, dtype, float16, float32, float64, promote_types
from gpunn.ops.common import dtype_of

__all__ = ["assert_close"]

# rtol and atol of a dtype; numbers that are no floats are to be equal.
_TOLERANCES: dict[dtype, tuple[float, float]] = {
    float16: (1e-3, 1e-5),
    bfloat16: (1.6e-2, 1e-5),
    float32: (1.3e-6, 1e-5),
    float64: (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless ``|actual - expected| <= atol + rtol |expected|`` everywhere.

    Of tensors, which must agree in shape, dtype and device, of numbers, and of sequences and
    mappings of either. The tolerances are those of the coarser dtype unless both are given.
    The sentences are PyTorch's; ``msg`` replaces them.
    """
    if (rtol is None) is not (atol is None):
        lacking = "rtol" if rtol is None else "atol"
        raise ValueError(
            f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {lacking}."
        )
    given = None if rtol is None or atol is None else (rtol, atol)
    checks = {"device": check_device, "dtype": check_dtype, "stride": check_stride}
    text = _difference(actual, expected, given, equal_nan, checks, "")
    if text is not None:
        raise AssertionError(msg if isinstance(msg, str) else msg(text) if msg else text)


def _difference(
    actual: Any,
    expected: Any,
    given: tuple[float, float] | None,
    equal_nan: bool,
    checks: dict[str, bool],
    where: str,
) -> str | None:
    """What differs, and at which item of what was given; None where nothing does."""
    if all(isinstance(x, Mapping) for x in (actual, expected)):
        a, b = cast("Mapping[Any, Any]", actual), cast("Mapping[Any, Any]", expected)
        if a.keys() != b.keys():
            return (
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {sorted(b.keys() - a.keys())}\n"
                f"Additional keys in the actual mapping: {sorted(a.keys() - b.keys())}"
            )
        items = [(f"{where}[{key!r}]", a[key], b[key]) for key in b]
    elif is_sequence(actual) and is_sequence(expected):
        one, other = cast("Any", actual), cast("Any", expected)
        sides = list[Any](one), list[Any](other)
        if len(sides[0]) != len(sides[1]):
            return f"The length of the sequences mismatch: {len(sides[0])} != {len(sides[1])}"
        pairs = zip(*sides, strict=True)
        items = [(f"{where}[{i}]", a, b) for i, (a, b) in enumerate(pairs)]
    else:
        text = _of_one(actual, expected, given, equal_nan, checks)
        return f"{text}\n\nThe failure occurred for item {where}" if text and where else text
    found = (_difference(a, b, given, equal_nan, checks, place) for place, a, b in items)
    return next((text for text in found if text is not None), None)


def _of_one(
    actual: Any,
    expected: Any,
    given: tuple[float, float] | None,
    equal_nan: bool,
    checks: dict[str, bool],
) -> str | None:
    if actual is None or expected is None:
        return None if actual is expected else f"None mismatch: {actual} is not {expected}"
    if isinstance(actual, Variable) and isinstance(expected, Variable):
        return _of_tensors(actual, expected, given, equal_nan, checks)
    numbers = (int, float, numpy.number, numpy.bool_)
    pair: list[Any] = [actual, expected]
    if not isinstance(actual, numbers) or not isinstance(expected, numbers):
        raise TypeError(
            f"No comparison pair was able to handle inputs of type {type(pair[0])} and "
            f"{type(pair[1])}."
        )
    floats = isinstance(actual, (float, numpy.floating)) or isinstance(
        expected, (float, numpy.floating)
    )
    tolerance = given or (_TOLERANCES[float64] if floats else (0.0, 0.0))
    values = [numpy.asarray(v, "float64" if floats else "int64") for v in pair]
    return _of_arrays(values[0], values[1], tolerance, equal_nan, (actual, expected))


def _of_tensors(
    a: Any,
    b: Any,
    given: tuple[float, float] | None,
    equal_nan: bool,
    checks: dict[str, bool],
) -> str | None:
    if a.shape != b.shape:
        return f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}."
    for name, wanted in checks.items():
        values = [getattr(x, name) for x in (a, b)]
        values = [v() if callable(v) else v for v in values]
        if wanted and values[0] != values[1]:
            shown = [f"{v!r}" if name == "dtype" else str(v) for v in values]
            name += "()" if name == "stride" else ""
            return f"The values for attribute '{name}' do not match: {shown[0]} != {shown[1]}."
    kinds = dtype_of(a), dtype_of(b)
    common = promote_types(*kinds)
    tolerance = given
    if tolerance is None:
        both = [_TOLERANCES.get(kind, (0.0, 0.0)) for kind in kinds]
        tolerance = max(t[0] for t in both), max(t[1] for t in both)
    arrays = [type2backend[type(x.data)].to_numpy(x.data).astype(common.numpy) for x in (a, b)]
    if common.numpy.kind in FLOATING and common.itemsize == 2:
        arrays = [x.astype("float32") for x in arrays]
    elif common.numpy.kind not in FLOATING:
        arrays = [x.astype("int64") for x in arrays]
    numbers = None if a.data.ndim else (a.item(), b.item())
    kept = common.numpy if common.is_floating_point else numpy.dtype("float32")
    return _of_arrays(arrays[0], arrays[1], tolerance, equal_nan, numbers, kept)


def _of_arrays(
    a: Any,
    b: Any,
    tolerance: tuple[float, float],
    equal_nan: bool,
    numbers: Any,
    kept: Any = None,
) -> str | None:
    """``numbers`` are shown where there is but one, differences as ``kept`` holds them."""
    rtol, atol = tolerance
    with numpy.errstate(all="ignore"):
        close = (a == b) | (numpy.isfinite(b) & (abs(a - b) <= atol + rtol * abs(b)))
        if equal_nan:
            close |= numpy.isnan(a) & numpy.isnan(b)
        if close.all():
            return None
        absolute = numpy.where(close, 0, abs(a - b))
        relative = numpy.where(close, 0, absolute / abs(b))
    if kept is not None:
        relative = relative.astype(kept)
        absolute = absolute.astype(kept) if a.dtype.kind == "f" else absolute
    exact = not (rtol or atol)
    limits = ["" if exact else f" (up to {t:g} allowed)" for t in (atol, rtol)]
    word = "equal" if exact else "close"
    if numbers is not None:
        return (
            f"Scalars are not {word}!\n\nExpected {numbers[1]} but got {numbers[0]}.\n"
            f"Absolute difference: {_shown(absolute)}{limits[0]}\n"
            f"Relative difference: {_shown(relative)}{limits[1]}"
        )
    lines = [
        f"Tensor-likes are not {word}!\n",
        f"Mismatched elements: {(~close).sum()} / {close.size} ({(~close).mean():.1%})",
    ]
    for name, x, limit in zip(("absolute", "relative"), (absolute, relative), limits, strict=True):
        place = tuple(map(int, numpy.unravel_index(x.argmax(), x.shape)))
        lines.append(f"Greatest {name} difference: {_shown(x[place])} at index {place}{limit}")
    return "\n".join(lines)


def _shown(number: Any) -> str:
    return str(number.item())
