"""The switches of gpunn.backends.cuda and .cudnn beside PyTorch's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from checks import devices

import gpunn


@pytest.fixture
def switches():
    """The switches as they are by default, then and after."""
    cuda = gpunn.backends.cuda
    before = cuda.matmul.fp32_precision, cuda.conv.fp32_precision
    yield cuda
    cuda.matmul.fp32_precision, cuda.conv.fp32_precision = before


def test_the_defaults_are_pytorchs():
    torch = pytest.importorskip("torch")
    code = (
        "import gpunn; b = gpunn.backends;"
        "print(b.cuda.matmul.allow_tf32, b.cudnn.allow_tf32, b.cudnn.conv.fp32_precision)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = [
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.conv.fp32_precision,
    ]
    assert out.stdout.split() == [str(e) for e in expected]


def test_one_switch_has_two_names(switches):
    import gpunn.backends.cudnn as cudnn

    cudnn.allow_tf32 = False
    assert switches.conv.fp32_precision == "ieee"
    assert not switches.conv.allow_tf32
    switches.conv.allow_tf32 = True
    assert cudnn.allow_tf32
    cudnn.conv.fp32_precision = "tf32x3"
    assert not cudnn.allow_tf32
    assert not switches.matmul.allow_tf32


def test_what_is_no_precision_is_refused(switches):
    with pytest.raises(RuntimeError, match="Unknown precision: x"):
        switches.matmul.fp32_precision = "x"
    with pytest.raises(RuntimeError, match="expects a bool, but got int"):
        switches.conv.allow_tf32 = 1
    assert switches.matmul.fp32_precision == "ieee"


@pytest.mark.skipif("cuda" not in devices(), reason="no CuPy")
def test_cupy_follows_the_switch_of_matmul(switches):
    from cupy._core import get_compute_type
    from cupy._core._routines_linalg import COMPUTE_TYPE_DEFAULT, COMPUTE_TYPE_TF32

    gpunn.zeros(1, device="cuda")
    switches.matmul.allow_tf32 = True
    assert get_compute_type("float32") == COMPUTE_TYPE_TF32
    switches.matmul.fp32_precision = "tf32x3"
    assert get_compute_type("float32") == COMPUTE_TYPE_DEFAULT
