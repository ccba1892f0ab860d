"""Calls for the convolutions of ``torch.nn.functional``: one list for all ranks."""

from __future__ import annotations

from typing import Any

from conformance.calls import Call, call
from conformance.inputs import F16, F32, I64, Table, array, strided

CALLS = Table()


def _convolutions(n: int) -> list[Call]:
    """Options that every rank takes, and what it refuses, over ``n`` spatial dimensions."""
    size, kernel = (7, 6, 5)[:n], (3, 2, 2)[:n]
    x, w, b = array(2, 4, *size), array(6, 4, *kernel), array(6)
    pair = array(6, 2, *kernel)
    calls = [
        call(x, w),
        call(x, w, b),
        call(x, w, b, 2),
        call(x, w, b, (2, 1, 3)[:n], (1, 0, 1)[:n]),
        call(x, w, stride=(2,), padding=(1,), dilation=(2,)),
        call(x, w, b, padding="same"),
        call(x, w, b, padding="valid", stride=2),
        call(x, array(6, 4, *(2 for _ in size)), padding="same", dilation=2),
        call(x, array(6, 4, *(4 for _ in size)), padding="same"),
        call(x, pair, b, groups=2),
        call(x, array(8, 1, *kernel), groups=4),
        call(x, array(6, 4, *(1 for _ in size)), b),
        call(x, array(6, 4, *size)),
        # Odd ones: layouts, dtypes, nothing in a dimension.
        call(x[0], w, b),
        call(strided(2, 4, *size), strided(6, 4, *kernel), strided(6)),
        call(*(a.astype(F32) for a in (x, w, b))),
        call(*((a / 4).astype(F16) for a in (x, w, b))),
        call(array(0, 4, *size), w, b),
        call(x[0], w, b, padding="same"),
    ]
    return (
        calls
        + _refused(n, x, w, b)
        + [
            call(x, w, b, padding="same", stride=2),
            call(x, w, b, padding="odd"),
            call(x, array(6, 4, *(9 for _ in size))),
            call(x, array(5, 2, *kernel), groups=2),
            call(x, w, groups=2),
            call(x, w, b.astype(F32)),
        ]
    )


def _refused(n: int, x: Any, w: Any, b: Any) -> list[Call]:
    """What neither direction takes."""
    size, kernel = x.shape[2:], w.shape[2:]
    return [
        call(array(2, 3, *size), w),
        call(array(3, *size), w),
        call(x, w, array(4)),
        call(x, w, array(6, 1)),
        call(x, w, array()),
        call(x[0, 0], w),
        call(x[None], w),
        call(x, w[0]),
        call(x, w.astype(F32)),
        call(array(2, 4, *size, dtype=I64), w),
        call(x, w, b, 0),
        call(x, w, b, -1),
        call(x, w, b, padding=-1),
        call(x, w, dilation=0),
        call(x, w, groups=0),
        call(x, w, groups=8),
        call(x, w, stride=(1,) * (n + 1)),
        call(x, w, padding=(1,) * (n + 1)),
        call(x, w, stride=1.5),
        call(array(2, 4, *(0 for _ in size)), w),
        call(array(2, 4, *(0 for _ in size)), w, padding=3),
        call(x, array(0, 4, *kernel)),
        call(x, array(6, 4, *(0 for _ in kernel))),
        call(x, None),
        call(None, w),
    ]


def _transposed(n: int) -> list[Call]:
    size, kernel = (4, 3, 2)[:n], (3, 2, 2)[:n]
    x, w, b = array(2, 4, *size), array(4, 6, *kernel), array(6)
    return [
        call(x, w),
        call(x, w, b),
        call(x, w, b, 2),
        call(x, w, b, (2, 1, 3)[:n], (1, 0, 1)[:n]),
        call(x, w, b, 2, 1, 1),
        call(x, w, stride=(3,), output_padding=(2,)),
        call(x, w, b, dilation=2, padding=1),
        call(x, w, dilation=2, output_padding=1),
        call(x, array(4, 3, *kernel), b, groups=2),
        call(x, array(4, 1, *kernel), groups=4, stride=2),
        call(x, array(4, 6, *(1 for _ in size))),
        call(x[0], w, b, 2),
        call(strided(2, 4, *size), strided(4, 6, *kernel), strided(6)),
        call(*(a.astype(F32) for a in (x, w, b))),
        call(*((a / 4).astype(F16) for a in (x, w, b))),
        call(array(0, 4, *size), w, b),
        call(x, w, b, output_padding=1),
        call(x, w, b, 2, output_padding=2),
        call(x, w, b, output_padding=-1),
        call(x, w, b, padding=9),
        call(x, w, padding="same"),
        call(x, array(6, 3, *kernel), groups=2),
        *_refused(n, x, w, b),
    ]


for n in (1, 2, 3):
    CALLS.add(f"conv{n}d", _convolutions(n))
    CALLS.add(f"conv_transpose{n}d", _transposed(n))
