"""Names that are not there: AttributeError, and what comes near."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import gpunn
from gpunn import missing


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
        (gpunn.linalg, "eigvals", r"use gpunn\.linalg\.eigvalsh, for symmetric matrices"),
        (gpunn, "stft", "gpunn has no complex numbers"),
        (gpunn, "hspmm", "gpunn has no sparse tensors"),
        (gpunn, "q_scale", "gpunn has no quantized tensors"),
        (gpunn, "fbgemm_pack_gemm_matrix_fp16", "gpunn has no quantized tensors"),
        (gpunn, "UntypedStorage", "gpunn has no storages; x.data is the array"),
        (gpunn, "ScriptModule", "gpunn has no compiler"),
        (gpunn, "cudnn_convolution", "no names for the kernels of other libraries"),
        (gpunn, "squeeze_copy", "use squeeze and clone"),
        (gpunn, "jit", "gpunn compiles nothing"),
        (gpunn, "gru", r"use gpunn\.nn\.GRU"),
        (gpunn.nn, "SyncBatchNorm", "gpunn has no training over several processes"),
        (gpunn.nn.init, "xavier_unifrom_", r"did you mean xavier_uniform_\?"),
        (gpunn.optim, "SparseAdam", "gpunn has no sparse tensors"),
        (gpunn.optim.lr_scheduler, "StepLr", r"did you mean StepLR\?"),
        (gpunn.cuda, "memory_cached", r"use gpunn\.cuda\.memory_reserved"),
        (gpunn.cuda, "FloatTensor", "gpunn has no CUDA types; name the device"),
        (gpunn.cuda, "utilization", "nvidia-smi"),
        (gpunn.autograd, "fucntional", r"did you mean functional\?"),
        (gpunn.special, "gamaln", r"did you mean gammaln\?"),
        (gpunn.ones(2), "to_sparse", "'Tensor' object has no attribute 'to_sparse': .* no sparse"),
        (gpunn.ones(2), "cfloat", "gpunn has no complex numbers"),
        (gpunn.ones(2), "untyped_storage", "gpunn has no storages"),
        (gpunn.ones(2), "transpoze", r"did you mean transpose\?"),
        (gpunn.ones(2), "lstsq", r"use gpunn\.linalg\.lstsq"),
        (gpunn.nn.Parameter(gpunn.ones(2)), "grda", "'Parameter' object has no attribute 'grda'"),
    ],
)
def test_says_what_comes_near(module: Any, name: str, text: str):
    with pytest.raises(AttributeError, match=text):
        getattr(module, name)
    assert not hasattr(module, name)
    assert getattr(module, name, 3) == 3


def test_what_is_there_is_not_told_to_be_missing():
    told = missing._INSTEAD
    assert [n for n in told if hasattr(gpunn, n) and hasattr(gpunn.Tensor, n)] == []
    assert [n for n in told if n[0].isupper() and hasattr(gpunn.nn, n)] == []


def test_a_property_that_fails_says_why_itself():
    class Odd(gpunn.Tensor):
        @property
        def broken(self) -> Any:
            return self.nothing_like_it

    with pytest.raises(AttributeError, match="'Odd' object has no attribute 'nothing_like_it'"):
        _ = Odd([1.0]).broken


def test_copies_and_pickles_ask_for_names_that_are_not_there():
    x = gpunn.ones(2, requires_grad=True)
    for y in (copy.deepcopy(x), copy.copy(x), pickle.loads(pickle.dumps(x))):
        assert y.equal(x)
