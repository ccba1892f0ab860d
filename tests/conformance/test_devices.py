"""Calls of the conformance table on a CUDA device: the CPU's values, dtypes and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conformance.calls import Call, outcome, unwarned
from conformance.tensor_calls import CALLS

import gpunn

# Families that compute outside of primitives, whose array code must be CuPy's too.
NAMES = """
    atleast_3d column_stack diag diag_embed dstack hstack meshgrid repeat_interleave trace
    tril_indices vstack aminmax bincount bucketize corrcoef cov cummax cummin
    cumulative_trapezoid diff dist histc isin kthvalue logcumsumexp mode msort nanmean
    nanmedian nanquantile nansum quantile renorm searchsorted index_copy index_reduce
    masked_scatter scatter scatter_reduce std_mean trapezoid unique unique_consecutive
    addcdiv addcmul lerp addmm as_strided ldexp put take take_along_dim index_add scatter_add
    index_put clamp where addbmm addmv addr baddbmm cdist cross einsum inner kron tensordot
    i0 igamma mvlgamma
""".split()  # noqa: SIM905
SOME = 3  # calls of each name: a simulated device takes its time


class OnCuda:
    """gpunn, whose arrays come to lie on a CUDA device."""

    def from_numpy(self, array: Any) -> Any:
        return gpunn.from_numpy(array).to("cuda")

    def __getattr__(self, name: str) -> Any:
        return getattr(gpunn, name)


def _computable(name: str) -> list[Call]:
    found = [c for c in CALLS[name] if outcome(gpunn, getattr(gpunn, name), c).error is None]
    return [c for c in found if any(isinstance(a, np.ndarray) for a in _deep(c.args))][:SOME]


def _deep(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [part for v in value for part in _deep(v)]
    return [value]


@pytest.mark.parametrize("name", NAMES)
def test_as_on_the_cpu(name: str) -> None:
    if not gpunn.cuda.is_available():
        pytest.skip("no CUDA device")
    function = getattr(gpunn, name)
    with unwarned():
        for given in _computable(name):
            got, expected = outcome(OnCuda(), function, given), outcome(gpunn, function, given)
            assert got.error is None, f"{name}({given})"
            for a, b in zip(got.results, expected.results, strict=True):
                if isinstance(b, np.ndarray):
                    assert a.dtype == b.dtype
                    np.testing.assert_allclose(a, b, 1e-5, 1e-6, err_msg=f"{name}({given})")
                else:
                    assert a == b
