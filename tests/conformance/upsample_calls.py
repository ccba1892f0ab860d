"""Calls for the names that ``interpolate`` had before."""

from __future__ import annotations

from conformance.calls import call
from conformance.inputs import F32, Table, array, strided

CALLS = Table()
X = array(2, 3, 4, 5)
CALLS.add(
    "upsample upsample_nearest upsample_bilinear",
    [
        call(X, 7),
        call(X, (3, 8)),
        call(X, scale_factor=2),
        call(X, None, 1.5),
        call(X.astype(F32), scale_factor=(2, 3)),
        call(strided(2, 3, 4, 5), 3),
        call(array(0, 3, 4, 5), 2),
        call(X),
        call(X, 3, 2),
        call(X, (3, 3, 3)),
        call(array(3, 4), 2),
    ],
)
CALLS.add(
    "upsample",
    [
        call(X, 7, mode="bicubic"),
        call(X, 3, mode="bilinear", align_corners=True),
        call(X, 7, mode="odd"),
        call(array(2, 3, 4), 7, mode="linear"),
    ],
)
