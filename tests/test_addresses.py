"""Lines by which scripts import from PyTorch; each works with gpunn's name in its place."""

import re

import pytest

import gpunn

LINES = """
import torch.backends.cudnn as cudnn
import torch.nn.functional as F
import torch.utils.checkpoint as checkpoint
import torch.utils.data as data
from torch import Tensor, nn, optim
from torch.amp import GradScaler, autocast, custom_bwd, custom_fwd
from torch.autograd import Function, Variable, grad, gradcheck
from torch.autograd.function import Function, once_differentiable
from torch.backends import cudnn, mps
from torch.cuda import Event, Stream, is_available, synchronize
from torch.cuda.amp import GradScaler, autocast, custom_bwd, custom_fwd
from torch.linalg import norm
from torch.nn import Module, Parameter, functional as F, init, utils
from torch.nn.init import constant_, kaiming_normal_, orthogonal_, trunc_normal_, xavier_uniform_
from torch.nn.parameter import Parameter
from torch.nn.utils import clip_grad_norm_, parameters_to_vector
from torch.nn.utils.clip_grad import clip_grad_norm_
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.optim import Adam, Optimizer, lr_scheduler
from torch.optim.adam import Adam
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, _LRScheduler
from torch.optim.optimizer import Optimizer, required
from torch.random import fork_rng
from torch.serialization import load, save
from torch.testing import assert_close
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split
from torch.utils.data.dataloader import DataLoader, default_collate
from torch.utils.data.dataset import Dataset, StackDataset, Subset
from torch.utils.data.sampler import BatchSampler, SubsetRandomSampler
""".strip().splitlines()


@pytest.mark.parametrize("line", LINES)
def test_imports(line):
    exec(re.sub(r"\btorch\b", "gpunn", line), {})


@pytest.mark.parametrize("line", LINES)
def test_they_are_imports_of_pytorch(line):
    pytest.importorskip("torch")
    exec(line, {})


def test_cuda_amp(device):
    """With the arguments that the older names take; off, with a warning, where there is no CUDA."""
    x = gpunn.ones(2, 2, device=device)
    amp = gpunn.cuda.amp
    with amp.autocast(False):
        assert (x @ x).dtype is gpunn.float32
    scaler = amp.GradScaler(512.0, enabled=device == "cuda")
    assert scaler.scale(x.sum()).item() == (2048.0 if device == "cuda" else 4.0)
    if device == "cuda":
        with amp.autocast():
            assert (x @ x).dtype is gpunn.float16
        with amp.autocast(dtype=gpunn.bfloat16):
            assert (x @ x).dtype is gpunn.bfloat16

    class Double(gpunn.autograd.Function):
        @staticmethod
        @amp.custom_fwd
        def forward(ctx, x):
            return x * 2

        @staticmethod
        @amp.custom_bwd
        def backward(ctx, dy):
            return dy * 2

    assert Double.apply(x).sum().item() == 8.0
