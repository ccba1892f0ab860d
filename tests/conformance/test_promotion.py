"""Operands of all dtypes, with dimensions, without, and Python numbers: PyTorch's dtype and values.

Where PyTorch refuses a pair of dtypes, so do we.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conformance.calls import unwarned

import gpunn

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()  # noqa: SIM905
NAMES = """
    add sub mul div floor_divide remainder fmod pow float_power atan2 hypot copysign maximum minimum
    fmax fmin logaddexp logaddexp2 xlogy nextafter heaviside ldexp eq ne lt le gt ge logical_and
    logical_or bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift gcd lcm
    isclose clamp dist dot kron outer matmul rsub true_divide cat stack where addcmul lerp
""".split()  # noqa: SIM905
CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "where": lambda t, a, b: t.where(t.tensor([True, False, True]), a, b),
    "addcmul": lambda t, a, b: t.addcmul(a, b, b),
    "lerp": lambda t, a, b: t.lerp(a, b, 0.5),
    "cat": lambda t, a, b: t.cat([a, b]),
    "stack": lambda t, a, b: t.stack([a, b]),
}


def _operands() -> Iterator[tuple[Any, Any]]:
    """Pairs of a dtype and values, or of a number: a tensor at least is among them."""
    shapes = ([1, 2, 3], 2)
    for pair in itertools.product(DTYPES, DTYPES):
        for values in itertools.product(shapes, shapes):
            yield tuple(zip(pair, values, strict=True))
    for dtype, values, number in itertools.product(DTYPES, shapes, (True, 2, 2.5, -1)):
        yield (dtype, values), number
        yield number, (dtype, values)


def _result(lib: Any, name: str, given: tuple[Any, Any]) -> Any:
    """The dtype's name and the values; None where it refuses."""
    a, b = (lib.tensor(g[1]).to(getattr(lib, g[0])) if isinstance(g, tuple) else g for g in given)
    try:
        y = CALLS[name](lib, a, b) if name in CALLS else getattr(lib, name)(a, b)
    except (RuntimeError, TypeError, IndexError):
        return None
    return str(y.dtype).partition(".")[2], y.double().tolist()


@pytest.mark.parametrize("name", NAMES)
def test_promotion(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    wrong: list[str] = []
    with unwarned():
        for given in _operands():
            ours, theirs = (_result(lib, name, given) for lib in (gpunn, torch))
            if ours is None or theirs is None:
                same = ours is theirs
            else:
                close = np.allclose(ours[1], theirs[1], 1e-2, 1e-3, equal_nan=True)
                same = ours[0] == theirs[0] and close
            if not same:
                wrong.append(f"{name}{given}: {ours}, PyTorch's {theirs}")
    assert not wrong, "\n".join(wrong)
