"""How a tensor is printed: PyTorch's form, digits and summaries by ``set_printoptions``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy

from gpunn.dtype import DTYPES, FLOATING, dtype, from_numpy_dtype, get_default_dtype


@dataclass
class _Options:
    precision: int = 4  # digits after the point
    threshold: float = 1000  # elements, beyond which a summary is shown
    edgeitems: int = 3  # of a summary, at either end of a dimension
    linewidth: int = 80
    sci_mode: bool | None = None  # None: as the numbers ask for


_options = _Options()
_PROFILES = {"default": _Options(), "short": _Options(2, 1000, 2), "full": _Options(4, math.inf)}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed: digits, when and how they are summarised, width of a line.

    ``profile`` "default", "short" or "full" sets all of these; what else is given wins over it.
    ``sci_mode`` True or False forces or forbids exponents, None leaves it to the numbers.
    """
    chosen = _options if profile is None else _PROFILES.get(profile, _options)
    given = (precision, threshold, edgeitems, linewidth)
    names = ("precision", "threshold", "edgeitems", "linewidth")
    for name, value in zip(names, given, strict=True):
        setattr(_options, name, getattr(chosen, name) if value is None else value)
    _options.sci_mode = sci_mode


Host = numpy.ndarray[Any, Any]


class _Format:
    """One width and notation for all elements shown."""

    def __init__(self, values: Host) -> None:
        self.floating = values.dtype.kind in FLOATING
        self.whole, self.scientific, self.width = True, False, 1
        if not self.floating:
            self.width = max((len(str(v)) for v in values.ravel().tolist()), default=1)
            return
        wide = values.astype(numpy.float64).ravel()
        wide = wide[numpy.isfinite(wide) & (wide != 0)]
        if wide.size:
            size = numpy.abs(wide)
            low, high = float(size.min()), float(size.max())
            self.whole = bool((wide == numpy.ceil(wide)).all())
            self.scientific = high / low > 1000 or high > 1e8 or (not self.whole and low < 1e-4)
            if _options.sci_mode is not None:
                self.scientific = _options.sci_mode
            self.width = max(len(self(float(v)).strip()) for v in wide)

    def __call__(self, value: Any) -> str:
        if not self.floating:
            text = str(value)
        elif self.scientific:
            text = f"{value:.{_options.precision}e}"
        elif self.whole:
            text = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            text = f"{value:.{_options.precision}f}"
        return text.rjust(self.width)


def _summary(values: Host) -> Host:
    """The corners that a summary shows."""
    for axis, n in enumerate(values.shape):
        if n > 2 * _options.edgeitems:
            ends = [*range(_options.edgeitems), *range(n - _options.edgeitems, n)]
            values = values.take(ends, axis)
    return values


def _body(values: Host, indent: int, short: bool, form: _Format) -> str:
    if not values.ndim:
        return form(values.item())
    cut = short and len(values) > 2 * _options.edgeitems
    if values.ndim == 1:
        shown = [form(v) for v in (values[: _options.edgeitems] if cut else values).tolist()]
        if cut:
            shown += [" ...", *(form(v) for v in values[-_options.edgeitems :].tolist())]
        per_line = max(1, (_options.linewidth - indent) // (form.width + 2))
        lines = [", ".join(shown[i : i + per_line]) for i in range(0, len(shown), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    rows = [
        _body(v, indent + 1, short, form) for v in (values[: _options.edgeitems] if cut else values)
    ]
    if cut:
        rows += ["...", *(_body(v, indent + 1, short, form) for v in values[-_options.edgeitems :])]
    return "[" + ("," + "\n" * (values.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def format_tensor(values: Host, device: str, notes: list[str], prefix: str = "tensor(") -> str:
    """``tensor([1., 2.], device='cuda:0', grad_fn=<...>)`` for host ``values``."""
    suffixes: list[str] = []
    if device != "cpu":
        suffixes.append(f"device='{device}'")
    kind: dtype = from_numpy_dtype[values.dtype]
    plain = (get_default_dtype(), DTYPES[5], DTYPES[0]) if values.size else (get_default_dtype(),)
    if not values.size:
        text = "[]"
        if values.ndim != 1:
            suffixes.append(f"size={values.shape}")
    else:
        short = values.size > _options.threshold
        form = _Format(_summary(values) if short else values)
        text = _body(values, len(prefix), short, form)
    if kind not in plain:
        suffixes.append(f"dtype={kind!r}")
    text = prefix + text
    last = len(text) - text.rfind("\n") + 1  # as PyTorch counts
    for suffix in [*suffixes, *notes]:
        if last + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * len(prefix) + suffix
            last = len(prefix) + len(suffix)
        else:
            text += ", " + suffix
            last += len(suffix) + 2
    return text + ")"
