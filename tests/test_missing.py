"""Names that are not there: AttributeError, and what comes near."""

from __future__ import annotations

from typing import Any

import pytest

import gpunn


@pytest.mark.parametrize(
    ("module", "name", "text"),
    [
        (gpunn, "sofmax", r"module 'gpunn' has no attribute 'sofmax'; did you mean softmax\?"),
        (gpunn, "eig", r"has no attribute 'eig'; use gpunn\.linalg\.eigh"),
        (gpunn, "sparse_coo_tensor", "gpunn has no sparse tensors"),
        (gpunn, "complex64", "gpunn has no complex numbers"),
        (gpunn, "qwertz", "module 'gpunn' has no attribute 'qwertz'$"),
        (
            gpunn.nn,
            "Linaer",
            r"module 'gpunn\.nn' has no attribute 'Linaer'; did you mean Linear\?",
        ),
        (gpunn.functional, "cross_entrpy", r"did you mean cross_entropy\?"),
        (gpunn.nn.functional, "cross_entrpy", r"did you mean cross_entropy\?"),
        (gpunn.optim, "AdaGrad", r"did you mean Adagrad\?"),
        (gpunn.linalg, "slogdett", r"did you mean slogdet\?"),
    ],
)
def test_says_what_comes_near(module: Any, name: str, text: str):
    with pytest.raises(AttributeError, match=text):
        getattr(module, name)
    assert not hasattr(module, name)
    assert getattr(module, name, 3) == 3
