"""Modules that only hold options: each is its function, with PyTorch's defaults and text."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from conformance.inputs import array

import gpunn

SIGNS = np.sign(array(3, 4, seed=5))
X, T, U = (array(3, 4, seed=i) for i in range(3))
# The module's options, and what it is called with.
CASES: dict[str, list[tuple[dict[str, Any], tuple[Any, ...]]]] = {
    "CELU": [({"alpha": 0.5}, (X,))],
    "SELU": [({}, (X,))],
    "Mish": [({}, (X,))],
    "Hardsigmoid": [({}, (X,))],
    "Hardswish": [({}, (X,))],
    "Hardshrink": [({"lambd": 0.3}, (X,))],
    "Softshrink": [({"lambd": 0.3}, (X,))],
    "Tanhshrink": [({}, (X,))],
    "Softsign": [({}, (X,))],
    "GLU": [({"dim": 1}, (X,))],
    "PReLU": [({"num_parameters": 4, "init": 0.1}, (X.astype("f4"),))],
    "RReLU": [({"lower": 0.2, "inplace": False}, ())],
    "Softmin": [({"dim": 1}, (X,))],
    "Softmax2d": [({}, (array(3, 4, 2),)), ({}, (X,))],
    "HingeEmbeddingLoss": [({"margin": 0.5}, (X, SIGNS))],
    "MarginRankingLoss": [({"margin": 0.5}, (X, T, SIGNS))],
    "CosineEmbeddingLoss": [({"margin": 0.5}, (X, T, SIGNS[:, 0]))],
    "SoftMarginLoss": [({"reduction": "sum"}, (X, SIGNS))],
    "MultiLabelMarginLoss": [({}, (X, np.array([[1, 3, -1, 0]] * 3)))],
    "MultiLabelSoftMarginLoss": [({}, (X, (T > 0).astype(float)))],
    "MultiMarginLoss": [({"p": 2, "margin": 0.5}, (X, np.array([0, 3, 1]))), ({"p": 3}, ())],
    "TripletMarginLoss": [({"swap": True, "p": 1.0}, (X, T, U)), ({"margin": 0}, ())],
    "TripletMarginWithDistanceLoss": [({"margin": 2.0}, (X, T, U)), ({"margin": -1}, ())],
    "PoissonNLLLoss": [({"full": True}, (X, np.floor(abs(T)) + 1))],
    "GaussianNLLLoss": [({"full": True}, (X, T, abs(U) + 0.1))],
    "CTCLoss": [
        (
            {"blank": 1},
            (np.log(np.full((5, 2, 4), 0.25)), np.array([[0, 2], [3, 3]]), (5, 4), (2, 1)),
        )
    ],
    "PixelShuffle": [({"upscale_factor": 2}, (array(1, 8, 2, 3),))],
    "PixelUnshuffle": [({"downscale_factor": 2}, (array(1, 2, 4, 6),))],
    "ChannelShuffle": [({"groups": 2}, (array(1, 4, 2, 3),))],
    "Unfold": [({"kernel_size": (2, 3), "padding": 1}, (array(1, 2, 4, 5),))],
    "Fold": [({"output_size": (4, 4), "kernel_size": 2, "stride": 2}, (array(1, 8, 4),))],
    "Upsample": [
        ({"scale_factor": 2, "mode": "bilinear"}, (array(1, 2, 3, 4),)),
        ({"size": 5}, (array(1, 2, 3),)),
        ({"scale_factor": (2, 1.5)}, (array(1, 2, 3, 4),)),
    ],
    "UpsamplingNearest2d": [({"size": (5, 6)}, (array(1, 2, 3, 4),))],
    "UpsamplingBilinear2d": [({"scale_factor": 2}, (array(1, 2, 3, 4),))],
    "RMSNorm": [({"normalized_shape": 4, "eps": 0.1}, (X.astype("f4"),))],
    "LocalResponseNorm": [({"size": 2, "alpha": 0.5}, (array(2, 3, 4),))],
    "LPPool1d": [({"norm_type": 2, "kernel_size": 2}, (abs(array(2, 3, 4)),))],
    "LPPool2d": [({"norm_type": 3, "kernel_size": (2, 1)}, (abs(array(1, 2, 3, 4)),))],
    "LPPool3d": [({"norm_type": 2, "kernel_size": 2, "stride": 1}, (abs(array(1, 2, 2, 3, 4)),))],
    "EmbeddingBag": [({"num_embeddings": 4, "embedding_dim": 2, "mode": "sum"}, ())],
    "MaxUnpool1d": [({"kernel_size": 2}, (array(1, 1, 2), np.array([[[0, 3]]])))],
    "MaxUnpool2d": [
        ({"kernel_size": (2, 1), "padding": 0}, (array(1, 1, 1, 2), np.array([[[[3, 0]]]])))
    ],
    "MaxUnpool3d": [({"kernel_size": 2, "stride": 1}, (array(1, 1, 1, 1), np.array([[[[7]]]])))],
    "Bilinear": [
        ({"in1_features": 4, "in2_features": 5, "out_features": 3}, ()),
        ({"in1_features": 0, "in2_features": 5, "out_features": 3}, ()),
    ],
    "CosineSimilarity": [({"dim": 0}, (X, T))],
    "PairwiseDistance": [({"p": 1.0, "keepdim": True}, (X, T))],
}


def outcome(lib: Any, name: str, options: dict[str, Any], args: tuple[Any, ...]) -> Any:
    try:
        module = getattr(lib.nn, name)(**options)
        given = [lib.from_numpy(a) if isinstance(a, np.ndarray) else a for a in args]
        result = module(*given).detach().numpy() if args else None
        return repr(module), sorted(module.state_dict()), result
    except (ValueError, RuntimeError) as error:
        return type(error).__name__, str(error), None


@pytest.mark.parametrize("name", CASES)
def test_module(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    for options, args in CASES[name]:
        ours, theirs = (outcome(lib, name, options, args) for lib in (gpunn, torch))
        assert ours[:2] == theirs[:2]
        if theirs[2] is not None:
            np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_signature(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(getattr(lib.nn, name)) for lib in (gpunn, torch))
    wanted = [p for p in theirs.parameters if p not in ("args", "kwargs")]  # of Module itself
    assert list(ours.parameters) == wanted
