"""What is said of a name that gpunn does not have: that it has not, and what comes near."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

# PyTorch's names whose equivalent has another.
_INSTEAD = {
    "Container": "gpunn.nn.Module",
    "Event": "gpunn.cuda.Event",
    "NLLLoss2d": "gpunn.nn.NLLLoss",
    "Stream": "gpunn.cuda.Stream",
    "apply_": "a list: gpunn.tensor([f(v) for v in x.tolist()])",
    "cond": "gpunn.linalg.cond",
    "cudart": "gpunn.cuda's own functions",
    "dsmm": "gpunn.mm",
    "eig": "gpunn.linalg.eigh, for symmetric matrices",
    "eigvals": "gpunn.linalg.eigvalsh, for symmetric matrices",
    "embedding_bag": "gpunn.nn.functional.embedding_bag",
    "geqrf": "gpunn.linalg.qr",
    "get_autocast_cpu_dtype": 'gpunn.get_autocast_dtype("cpu")',
    "get_autocast_gpu_dtype": 'gpunn.get_autocast_dtype("cuda")',
    "get_rng_state_all": "gpunn.get_rng_state: one stream serves every device",
    "gru": "gpunn.nn.GRU",
    "hardshrink": "gpunn.nn.functional.hardshrink",
    "householder_product": "gpunn.linalg.qr",
    "is_anomaly_enabled": "gpunn.autograd.detect_anomaly",
    "is_autocast_cpu_enabled": 'gpunn.is_autocast_enabled("cpu")',
    "jit": "the function itself: gpunn compiles nothing",
    "lobpcg": "gpunn.linalg.eigh",
    "lstm": "gpunn.nn.LSTM",
    "lstsq": "gpunn.linalg.lstsq",
    "lu": "gpunn.linalg.lu_factor",
    "matrix_rank": "gpunn.linalg.matrix_rank",
    "max_memory_cached": "gpunn.cuda.max_memory_reserved",
    "memory_cached": "gpunn.cuda.memory_reserved",
    "orgqr": "gpunn.linalg.qr",
    "ormqr": "gpunn.linalg.qr",
    "prelu": "gpunn.nn.functional.prelu",
    "reset_max_memory_allocated": "gpunn.cuda.reset_peak_memory_stats",
    "reset_max_memory_cached": "gpunn.cuda.reset_peak_memory_stats",
    "resize": "resize_",
    "resize_as": "resize_as_",
    "rnn_relu": 'gpunn.nn.RNN(nonlinearity="relu")',
    "rnn_tanh": "gpunn.nn.RNN",
    "set_anomaly_enabled": "gpunn.autograd.set_detect_anomaly",
    "set_rng_state_all": "gpunn.set_rng_state: one stream serves every device",
    "solve": "gpunn.linalg.solve",
    "symeig": "gpunn.linalg.eigh",
    "vmap": "a leading dimension: operations broadcast",
}
# Families of which PyTorch has many names and gpunn none, by what their names have in common.
_NEVER = {
    "complex numbers": "complex|^c(float|double|half)$|view_as_real|^polar$|stft$",
    "Fourier transforms": "fft",
    "sparse tensors": (
        "[sS]parse|coalesce|^(indices|values)(_copy)?$|(row|col)_indices|^(ss?p?|hs|hsp|sspadd|sadd"
        ")mm$|to_dense|dense_dim"
    ),
    "quantized tensors": "quant|^q_|qscheme|int_repr|fbgemm|qparams",
    "training over several processes": "distributed|DataParallel|SyncBatchNorm|^rpc",
    "storages; x.data is the array": "[sS]torage|^set_$",
    "compiler, nor names of its parts": (
        "Script|^[sS]ym(Int|Float|Bool|_)|^(Graph|Node|Block|Code)|[a-z]Type$|^parse_|import_ir"
    ),
    "names for the kernels of other libraries": "^(cudnn|miopen|mkldnn|native|batch_norm)_|mkldnn",
    'CUDA types; name the device: gpunn.zeros(2, device="cuda")': "^[A-Z]\\w+Tensor$",
    "monitoring of devices, which nvidia-smi does": (
        "^(temperature|utilization|power_draw|clock_rate|memory_usage|list_gpu_processes)$"
    ),
    "other devices than the CPU and CUDA": "^(xpu|ipu|mtia|mps|hpu|xla)$",
}


def refuse_others(module: dict[str, Any]) -> None:
    """Have a module (its ``globals()``) raise AttributeError, with a hint, for other names.

    Type checkers, which believe a written ``__getattr__``, go on reporting them.

    >>> refuse_others(module := {"__name__": "gpunn", "__all__": ["softmax", "log_softmax"]})
    >>> module["__getattr__"]("softmx")
    Traceback (most recent call last):
    AttributeError: module 'gpunn' has no attribute 'softmx'; did you mean softmax?
    """

    def refuse(name: str) -> Any:
        said = f"module '{module['__name__']}' has no attribute '{name}'"
        raise AttributeError(said + hint(name, module["__all__"]))

    module["__getattr__"] = refuse


@functools.cache
def of_instance(cls: type, name: str) -> str:
    """The text of an AttributeError for an attribute that instances of ``cls`` do not have."""
    known = [n for n in dir(cls) if not n.startswith("_")]
    return f"'{cls.__name__}' object has no attribute '{name}'{hint(name, known)}"


def hint(name: str, known: Iterable[str]) -> str:
    """What to do instead where ``name`` is not among the names that are ``known``; may be empty."""
    if name.startswith("_"):  # Python's own questions
        return ""
    if name in _INSTEAD:
        return f"; use {_INSTEAD[name]}"
    for lacking, pattern in _NEVER.items():
        if re.search(pattern, name):
            return f": gpunn has no {lacking}"
    names = list(known)
    if name.endswith("_copy") and name.removesuffix("_copy") in names:
        return f"; use {name.removesuffix('_copy')} and clone"
    import difflib  # for the few who ask

    near = difflib.get_close_matches(name, names, 1, 0.8)
    return f"; did you mean {near[0]}?" if near else ""
