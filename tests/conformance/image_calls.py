"""Calls for the names of ``torch.nn.functional`` that see images, and for normalization."""

from __future__ import annotations

from typing import Any

import numpy as np
from conformance.calls import call
from conformance.inputs import F16, F32, I64, Table, array, strided

CALLS = Table()


def _images(*sizes: int) -> list[Any]:
    """Of these sizes: contiguous, strided, narrow, of integers."""
    return [array(*sizes), strided(*sizes), array(*sizes, dtype=F32), array(*sizes, dtype=I64)]


CALLS.add("pixel_shuffle", [call(x, 2) for x in [*_images(2, 8, 3, 2), array(8, 1, 1)]])
CALLS.add(
    "pixel_shuffle",
    [
        call(array(1, 6, 2, 2), 2),
        call(array(4, 2), 2),
        call(array(1, 4, 2, 2), 0),
        call(array(1, 4, 2, 2), -1),
        call(array(0, 4, 2, 2, dtype=F32), 2),
        call(array(2, 3, 18, 1, 2), 3),
        call(array(2, 8, 3, 2), 1),
    ],
)
CALLS.add(
    "pixel_unshuffle",
    [call(x, 2) for x in [*_images(2, 3, 4, 6), array(1, 2, 2)]],
)
CALLS.add(
    "pixel_unshuffle",
    [
        call(array(1, 1, 3, 2), 2),
        call(array(1, 1, 2, 3), 2),
        call(array(2, 2), 2),
        call(array(1, 1, 4, 2), -2),
        call(array(2, 3, 2, 6, 3), 3),
    ],
)
CALLS.add(
    "channel_shuffle", [call(x, 2) for x in [*_images(2, 4, 3, 2), array(1, 6, 2), array(0, 4, 1)]]
)
CALLS.add(
    "channel_shuffle",
    [
        call(array(1, 5, 2), 2),
        call(array(4, 4), 2),
        call(array(1, 4, 2), 0),
        call(array(1, 4, 2), -2),
        call(array(2, 6, 2, 3, 2), 3),
    ],
)
X = array(2, 3, 6, 7)
CALLS.add(
    "unfold",
    [
        call(X, 2),
        call(X, (3, 2), dilation=2),
        call(X, 3, padding=1, stride=2),
        call(strided(2, 3, 6, 7), (2, 3)),
        call(array(3, 6, 7), 2),
        call(array(0, 3, 6, 7), 2),
        call(array(1, 2, 4, 4, dtype=F32), 2, 1, (1, 0), (2, 1)),
        call(X, 9),
        call(X, 0),
        call(X, 2, padding=-1),
        call(array(1, 2, 4, 4, dtype=F16), 2),
    ],
)
CALLS.add(
    "fold",
    [
        call(array(2, 12, 9), 4, 2),
        call(array(2, 12, 4), (4, 4), 2, stride=2),
        call(array(2, 8, 6), (3, 4), 2),
        call(array(8, 6), (3, 4), 2),
        call(strided(2, 12, 9), 4, 2),
        call(array(2, 9, 16), 4, 3, padding=1),
        call(array(2, 4, 4), 4, 2, dilation=2),
        call(array(2, 12, 8), 4, 2),
        call(array(2, 11, 9), 4, 2),
        call(array(4), 4, 2),
        call(array(0, 4, 9), 4, 2),
        call(array(2, 4, 9, dtype=F32), 4, 2),
    ],
)
MODES = {
    1: ("nearest", "nearest-exact", "area", "linear"),
    2: ("nearest", "nearest-exact", "area", "bilinear", "bicubic"),
    3: ("nearest", "nearest-exact", "area", "trilinear"),
}
for n, modes in MODES.items():
    x = array(2, 3, *(5, 6, 4)[:n])
    for mode in modes:
        CALLS.add(
            "interpolate",
            [
                call(x, size=(7, 9, 3)[:n], mode=mode),
                call(x, size=(3, 2, 8)[:n], mode=mode),
                call(x, size=4, mode=mode),
                call(x, scale_factor=2, mode=mode),
                call(x, scale_factor=1.5, mode=mode),
                call(x, scale_factor=(0.5, 2.0, 1.7)[:n], mode=mode, recompute_scale_factor=True),
                call(np.moveaxis(array(3, *(5, 6, 4)[:n], 2), -1, 0), size=3, mode=mode),
                call(x.astype(F32), scale_factor=3, mode=mode),
            ],
        )
        if mode not in ("nearest", "nearest-exact", "area"):
            CALLS.add(
                "interpolate", [call(x, size=s, mode=mode, align_corners=True) for s in (7, 3, 1)]
            )
CALLS.add(
    "interpolate",
    [
        call(X),
        call(X, size=3, scale_factor=2),
        call(X, size=(3, 3, 3)),
        call(X, size=0),
        call(X, size=3, align_corners=True),
        call(X, size=3, mode="odd"),
        call(X, size=3, mode="linear"),
        call(array(3, 4), size=3),
        call(X, size=3, recompute_scale_factor=True),
        call(X, scale_factor=(1.0,)),
    ],
)
LINE = array(1, 2, 28)
CALLS.add(
    "interpolate",
    [  # sizes that come out equal or doubled by other factors, and pixels that lie between two
        call(array(1, 2, 3, 4, dtype=F32), scale_factor=1.3),
        call(array(1, 2, 3, 4, dtype=F32), scale_factor=(1.2, 2.2)),
        call(array(1, 2, 3, dtype=F32), scale_factor=1.3),
        call(LINE.astype(F32), size=23, mode="nearest-exact"),
        call(LINE.astype(F32), scale_factor=1.3, mode="nearest", recompute_scale_factor=True),
        call(array(1, 1, 1, 60, dtype=F32), scale_factor=(1.0, 0.7)),
        call(array(1, 1, 70), scale_factor=1 / 3),
    ],
)
GRID = array(2, 4, 5, 2, low=-1.3, high=1.3, seed=1)
for mode in ("bilinear", "nearest", "bicubic"):
    for padding in ("zeros", "border", "reflection"):
        CALLS.add("grid_sample", [call(X, GRID, mode, padding, a) for a in (True, False)])
CUBE, POINTS = array(2, 3, 4, 3, 5), array(2, 2, 3, 2, 3, low=-1.3, high=1.3, seed=2)
for mode in ("bilinear", "nearest"):
    for padding in ("zeros", "border", "reflection"):
        CALLS.add("grid_sample", [call(CUBE, POINTS, mode, padding, align_corners=False)])
CALLS.add(
    "grid_sample",
    [
        call(strided(2, 3, 6, 7), GRID),
        call(X.astype(F32), GRID.astype(F32)),
        call(X, GRID, "odd"),
        call(X, GRID, padding_mode="odd"),
        call(X, GRID[:1]),
        call(X, array(2, 4, 5, 3)),
        call(X, POINTS),
        call(CUBE, POINTS, "bicubic"),
        call(array(2, 3, 0, 4), GRID),
    ],
)
THETA = array(2, 2, 3)
CALLS.add("affine_grid", [call(THETA, (2, 3, 4, 5), align_corners=a) for a in (True, False, None)])
CALLS.add(
    "affine_grid", [call(array(2, 3, 4), (2, 1, 3, 4, 5), align_corners=a) for a in (True, False)]
)
CALLS.add(
    "affine_grid",
    [
        call(THETA.astype(F32), (2, 3, 1, 5), align_corners=False),
        call(THETA, (2, 3, 4)),
        call(array(2, 2, 2), (2, 3, 4, 5)),
        call(strided(2, 2, 3), (2, 1, 3, 3)),
        call(array(2, 2, 3, dtype=I64), (2, 3, 4, 5)),
        call(THETA, (2, 3, 0, 5)),
    ],
)
CALLS.add(
    "adaptive_avg_pool3d adaptive_max_pool3d",
    [
        call(CUBE, 2),
        call(CUBE, (2, 1, 3)),
        call(CUBE, (None, 2, 2)),
        call(array(3, 4, 3, 5), 2),
        call(array(0, 2, 4, 3, 5), 2),
        call(strided(2, 3, 4, 3, 5), (3, 2, 2)),
        call(CUBE.astype(F32), (4, 3, 5)),
        call(array(4, 3), 2),
    ],
)
CALLS.add(
    "rms_norm",
    [
        call(X, (7,)),
        call(X, (6, 7)),
        call(X, (7,), array(7)),
        call(X, [7], array(7), 0.1),
        call(strided(2, 3, 4), (4,)),
        call(X.astype(F32), (7,), eps=1e-5),
        call(array(0, 4), (4,)),
        call(array(4), (4,)),
        call(X, (6,)),
        call(X, ()),
        call(X, (7,), array(6)),
        call(array(4, 5, dtype=F16, high=0.01, low=0), (5,)),  # small, so that eps counts
        call(array(4, 5, dtype=F16), (5,), array(5, dtype=F16)),
        call(array(4, 5, dtype=F16), (5,), array(5, dtype=F32)),
    ],
)
CALLS.add(
    "local_response_norm",
    [
        call(X, 2),
        call(X, 3, alpha=0.5, beta=0.3, k=2.0),
        call(X, 1),
        call(X, 5, 1.0),
        call(array(2, 5, 3), 4, 0.7),
        call(strided(2, 3, 6, 7), 2, 0.5),
        call(X.astype(F32), 2),
        call(CUBE, 2, 0.5),
        call(array(0, 3, 4), 2),
        call(array(3, 4), 2),
    ],
)
POSITIVE = abs(X) + 0.1
CALLS.add(
    "lp_pool2d",
    [
        call(POSITIVE, 2, 2),
        call(POSITIVE, 3.0, (2, 3), 1),
        call(POSITIVE, 1, 3, (2, 1), ceil_mode=True),
        call(POSITIVE.astype(F32), 2, 2),
        call(POSITIVE[0], 2, 2),
        call(POSITIVE, 2, 9),
    ],
)
CALLS.add(
    "lp_pool1d", [call(POSITIVE[0], 2, 2), call(POSITIVE[0], 3, 3, 1), call(POSITIVE[0], 2, 9)]
)
CALLS.add("lp_pool3d", [call(abs(CUBE) + 0.1, 2, 2), call(abs(CUBE) + 0.1, 3, (2, 1, 2), 1)])
W = array(3, 4, 5)
CALLS.add(
    "bilinear",
    [
        call(array(2, 4), array(2, 5), W),
        call(array(2, 4), array(2, 5), W, array(3)),
        call(array(4), array(5), W, array(3)),
        call(array(2, 3, 4), array(2, 3, 5), W),
        call(strided(2, 4), strided(2, 5), W),
        call(array(0, 4), array(0, 5), W),
        call(array(2, 4, dtype=F32), array(2, 5, dtype=F32), W.astype(F32)),
        call(array(2, 4), array(3, 5), W),
        call(array(2, 4), array(2, 4), W),
        call(array(2, 3), array(2, 5), W),
    ],
)
