"""Calls for the pools of ``torch.nn.functional``: one list for all ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import F16, F32, I32, I64, Table, array, distinct, strided

CALLS = Table()
SIZE = (7, 6, 5)


def _windows(n: int, x: Any) -> list[Call]:
    """What every pool with windows takes and refuses, over ``n`` spatial dimensions."""
    batch = (2, 3, *SIZE[:n])
    return [
        call(x, 2),
        call(x, 3, 1),
        call(x, (3, 2, 2)[:n], (2, 1, 3)[:n], (1, 0, 1)[:n]),
        call(x, (2,), (2,), (1,)),
        call(x, 3, 2, 1, ceil_mode=True),
        call(x, 2, 3, ceil_mode=True),
        call(x, 2, stride=()),
        call(x, SIZE[:n]),
        call(x[0], 2),
        call(np.moveaxis(x, -1, -2), 2) if n > 1 else call(x[..., ::2], 2),
        call(x.astype(F32), 3, 2, 1),
        call(array(0, 3, *SIZE[:n]), 2),
        call(array(*batch, dtype="bool"), 2),
        call(x[0, 0], 2),
        call(x[None], 2),
        call(x, 9),
        call(x, 0),
        call(x, -1),
        call(x, 2, 0),
        call(x, 2, -1),
        call(x, 2, padding=2),
        call(x, 2, padding=-1),
        call(x, (2,) * (n + 1)),
        call(x, 2, (2,) * (n + 1)),
        call(x, 2, padding=(1,) * (n + 1)),
        call(x, 1.5),
        call(x, None),
        call(None, 2),
    ]


for n in (1, 2, 3):
    x = distinct(2, 3, *SIZE[:n])
    CALLS.add(f"max_pool{n}d avg_pool{n}d", _windows(n, x))
    CALLS.add(
        f"max_pool{n}d",
        [
            call(x, 2, return_indices=True),
            call(x, 3, 2, 1, ceil_mode=True, return_indices=True),
            call(x, 2, dilation=2, return_indices=True),
            call(x, 3, 1, 1, (2, 1, 2)[:n]),
            call(np.ones((1, 2, *SIZE[:n])), 3, 2, 1, return_indices=True),
            call(np.full((1, 1, *SIZE[:n]), -np.inf), 3, 2, 1, return_indices=True),
            call(np.where(x % 5 == 0, np.nan, x), 2, return_indices=True),
            call(x, 3, padding=2, dilation=2),
            call(x, 2, dilation=0),
            call(x, 2, dilation=-1),
            call(x, 3, dilation=4),
            call(x, 2, dilation=(1,) * (n + 1)),
            call(x.astype(F16), 2),
        ],
    )
    CALLS.add(
        f"avg_pool{n}d",
        [
            call(x, 3, 2, 1, True, False),
            call(x, 3, 2, 1, count_include_pad=False),
            call(strided(2, 3, *SIZE[:n]), 2, 1),
            call(np.where(x % 7 == 0, np.inf, x), 2),
            call(array(2, 3, *SIZE[:n], dtype=I64), 2),
            call(array(2, 3, *SIZE[:n], dtype=I32), 2),
        ],
    )
    CALLS.add(
        f"adaptive_avg_pool{n}d adaptive_max_pool{n}d",
        [
            call(x, 1),
            call(x, 3),
            call(x, (3, 4, 2)[:n]),
            call(x, SIZE[:n]),
            call(x, 9),
            call(x, (2,)) if n == 1 else call(x, (None, 2, 2)[:n]),
            call(x[0], 2),
            call(strided(2, 3, *SIZE[:n]), 2),
            call(x.astype(F32), 2),
            call(x.astype(F16), 2),
            call(array(0, 3, *SIZE[:n]), 2),
            *([call(array(2, 3, *(0 for _ in range(n))), 2)] if n > 1 else []),
            call(x.astype(F32), 0),  # of nothing PyTorch finds no gradient
            call(x, -1),
            call(x, (2,) * (n + 1)),
            call(x[0, 0], 2),
            call(x[None], 2),
            call(array(2, 3, *SIZE[:n], dtype=I64), 2),
            call(np.where(x % 5 == 0, np.nan, x), 2),
        ],
    )
    CALLS.add(
        f"adaptive_max_pool{n}d",
        [
            call(x, 2, return_indices=True),
            call(x, (3, 2, 2)[:n], True),
            call(x[0], 3, return_indices=True),
            call(np.ones((1, 2, *SIZE[:n])), 2, return_indices=True),
        ],
    )
    high = abs(x) + 0.5
    CALLS.add(
        f"lp_pool{n}d",
        [
            call(high, 2, 2),
            call(high, 3.0, (3, 2, 2)[:n], 1) if n > 1 else call(high, 3.0, 3, 1),
            call(high, 1, 2, 2, True),
            call(high, 2, 2, ceil_mode=True),
            call(x, 2, 2),
            call(high[0], 2, 2),
            call(abs(strided(2, 3, *SIZE[:n])) + 0.1, 4, 2),
            call(high.astype(F32), 2, 2),
            call(array(0, 3, *SIZE[:n]), 2, 2),
            call(high, 0.5, 2),
            call(high, 2, 9),
            call(high, 2, 0),
        ],
    )

for n in (2, 3):
    x = distinct(2, 3, *SIZE[:n])
    CALLS.add(
        f"avg_pool{n}d",
        [
            call(x, 2, divisor_override=3),
            call(x, 3, 2, 1, divisor_override=-2),
            call(x, 3, 2, 1, True, False, 1),
            call(x, 2, divisor_override=0),
        ],
    )
for n in (1, 2):
    CALLS.add(
        f"max_pool{n}d avg_pool{n}d",
        [call(array(2, 0, *SIZE[:n]), 2), call(array(2, 3, *(0,) * n), 2)],
    )
CALLS.add("avg_pool1d avg_pool2d", [call(distinct(2, 3, 7, dtype=F16), 2)])
CALLS.add(
    "avg_pool3d", [call(array(2, 0, 7, 6, 5), 2), call(array(2, 3, 4, 5, 6), (5, 2, 2), 1, 1)]
)
CALLS.add(
    "max_pool1d",
    [
        call(array(2, 1, 3), 2, 3, 2, return_indices=True),
        call(array(2, 1, 1), 3, return_indices=True),
        call(array(2, 1, 7), 3, 1, 2, 2, return_indices=True),
        call(array(2, 1, 7), 0, return_indices=True),
    ],
)
