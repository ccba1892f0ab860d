"""Calls for what undoes a pooling, or pools at random places."""

from __future__ import annotations

import numpy as np
from conformance import pooling_calls
from conformance.calls import call
from conformance.inputs import F16, F32, I32, I64, Table, array, strided

CALLS = Table()

# What each pools to 4 elements a dimension; 0, 5 and 15 are in every plane of that.
PLACES = {1: np.array([[[0, 3], [2, 1]]]), 2: np.array([[[[0, 5], [10, 15]], [[3, 2], [9, 4]]]])}
PLACES[3] = np.arange(0, 64, 4).reshape(1, 2, 2, 2, 2)
for n, places in PLACES.items():
    name, shape, one = f"max_unpool{n}d", places.shape, (1,) * n
    x, zeros = array(*shape), np.zeros_like(places)
    CALLS.add(
        name,
        [
            call(x, places, 2),
            call(x, places, (2,) * n, (2,) * n, (0,) * n),
            call(x, places, 2, output_size=(5,) * n),
            call(x, places, 2, output_size=[1, 2, *(4,) * n]),
            call(x, zeros + 1, 3, 2, 1),
            call(x[0], places[0], 2),
            call(x.astype(F32), places, 2),
            call(x.astype(F16), places, 2),
            call(strided(*shape), places, 2),
            call(array(0, 2, *one), np.zeros((0, 2, *one), I64), 2),
            call(x, zeros, 1, 1),
            call(array(1, 0, *one), np.zeros((1, 0, *one), I64), 2),
            call(array(1, 2, *one[1:], 0), np.zeros((1, 2, *one[1:], 0), I64), 2),
            call(x, places.astype(I32), 2),
            call(x, places[..., :1].copy(), 2),
            call(x, places + 99, 2),
            call(x, places - 9, 2),
            call(x, places, 2, output_size=(7,) * n),
            call(x, places, 2, output_size=(4,) * (n + 1)),
            call(x, zeros, 1, 1, 2),
            call(array(*shape[2:]), places[0, 0], 2),
            call(array(*shape, dtype=I64), places, 2),
        ],
    )
CALLS.add("max_unpool3d", [call(array(1, 2, 2, 2, 2), PLACES[3], 2, s) for s in (0, -1)])
for n, outs, planes in ((2, (3, 3), (6, 7)), (3, (2, 2, 3), (4, 5, 6))):
    x, one = array(2, 3, *planes), outs[:-1]
    u = array(2, 3, n, low=0, high=1, dtype=F32)  # no leaf: samples have no gradient
    w = x.astype(F32)
    CALLS.add(
        f"fractional_max_pool{n}d",
        [
            call(w, 2, outs, _random_samples=u),
            call(w, (1, 2, 3)[:n], outs, return_indices=True, _random_samples=u),
            call(w, 2, 1, _random_samples=u),
            call(w, 2, output_ratio=(0.5, 0.7, 0.6)[:n], _random_samples=u),
            call(w[0], 2, outs, None, True, u[:1]),
            call(strided(2, 3, *planes, dtype=F32), 2, 2, _random_samples=u),
            call(w[:0], 2, 2, _random_samples=u),
            call(w, 2, 0, _random_samples=u),
            call(w.astype(F16), 2, 2, _random_samples=u.astype(F16)),
            call(np.where(w > 1, np.float32("nan"), w), 2, 2, None, True, u),
            call(np.ones_like(w), 2, outs, None, True, u),
            call(x, 2, outs, _random_samples=array(2, 3, n, low=0, high=1)),
            call(w, 2),
            call(w, 9, 2, _random_samples=u),
            call(w, 2, planes[0], _random_samples=u),
            call(w[0, 0], 2, 2),
            call(w[:, :0], 2, 2, _random_samples=u),
            call(w, 2, 2, _random_samples=u[:1]),
            call(w, 2, 2, _random_samples=u[:, :1].copy()),
            call(w, 2, 2, _random_samples=u[..., :1].copy()),
            call(w.astype(F16), 2, 2, _random_samples=u),
            call(w, (2,) * (n + 1), 2, _random_samples=u),
            call(w, 2, (2,) * (n + 1), _random_samples=u),
            call(array(2, 3, *planes, dtype=I64), 2, 2, _random_samples=u.astype(I64)),
        ],
    )
# The pools that always give indices: with what the others are called with.
for name in ("max_pool", "adaptive_max_pool"):
    for n in (1, 2, 3):
        some = pooling_calls.CALLS[f"{name}{n}d"]
        if name == "max_pool":  # refusals are of other words in one dimension, and of none
            some = some[:12] if n == 1 else [c for c in some if c.args[0] is not None]
        CALLS.add(f"{name}{n}d_with_indices", some)
for n in (2, 3):
    CALLS.add(f"fractional_max_pool{n}d_with_indices", CALLS[f"fractional_max_pool{n}d"])
