"""Element types and promotion."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from checks import DTYPES

import gpunn

ALL = [getattr(gpunn, name) for name in DTYPES]


def test_promotion_of_all_pairs():
    torch = pytest.importorskip("torch")
    for a in DTYPES:
        for b in DTYPES:
            want = torch.promote_types(getattr(torch, a), getattr(torch, b))
            got = gpunn.promote_types(getattr(gpunn, a), getattr(gpunn, b))
            assert str(want).replace("torch", "gpunn") == str(got)
            allowed = torch.can_cast(getattr(torch, a), getattr(torch, b))
            if b != "uint8":  # PyTorch: no signed number into an unsigned one
                assert gpunn.can_cast(getattr(gpunn, a), getattr(gpunn, b)) == allowed


def test_result_type_of_tensors_scalars_and_numbers():
    torch = pytest.importorskip("torch")
    for a in DTYPES:
        for b in DTYPES:
            for shape_a, shape_b in (((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())):
                results = []
                for t in (torch, gpunn):
                    x = t.ones(shape_a, dtype=getattr(t, a))
                    y = t.ones(shape_b, dtype=getattr(t, b))
                    assert (x + y).dtype == t.result_type(x, y)
                    results.append(str((x + y).dtype).split(".")[1])
                assert results[0] == results[1], (a, b, shape_a, shape_b)
        for number in (True, 2, 2.5):
            for shape in ((2,), ()):
                results = []
                for t in (torch, gpunn):
                    x = t.ones(shape, dtype=getattr(t, a))
                    results.append(str(t.result_type(x, number)).split(".")[1])
                assert results[0] == results[1], (a, number, shape)


def test_default_dtype():
    assert gpunn.get_default_dtype() is gpunn.float32
    gpunn.set_default_dtype(gpunn.float64)
    try:
        assert gpunn.tensor(1.5).dtype is gpunn.float64
        assert gpunn.zeros(1).dtype is gpunn.float64
        assert (gpunn.tensor([1]) / 2).dtype is gpunn.float64
        assert repr(gpunn.tensor(1.5)) == "tensor(1.5000)"
    finally:
        gpunn.set_default_dtype(gpunn.float32)
    with pytest.raises(TypeError, match="only floating-point types are supported as the default"):
        gpunn.set_default_dtype(gpunn.int64)


def test_limits():
    torch = pytest.importorskip("torch")
    for name in ("float16", "float32", "float64"):
        ours, theirs = gpunn.finfo(getattr(gpunn, name)), torch.finfo(getattr(torch, name))
        for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal"):
            assert getattr(ours, field) == getattr(theirs, field)
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        ours, theirs = gpunn.iinfo(getattr(gpunn, name)), torch.iinfo(getattr(torch, name))
        assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)
    with pytest.raises(TypeError, match="requires a floating point input type"):
        gpunn.finfo(gpunn.int64)
    with pytest.raises(TypeError, match="requires an integer input type"):
        gpunn.iinfo(gpunn.float32)


def test_dtypes_are_single_objects():
    for kind in ALL:
        assert copy.deepcopy(kind) is kind
        assert pickle.loads(pickle.dumps(kind)) is kind
        assert gpunn.tensor([1], dtype=kind.numpy).dtype is kind
    assert gpunn.tensor([1], dtype=float).dtype is gpunn.float64
    assert gpunn.tensor([1], dtype=int).dtype is gpunn.int64
    assert gpunn.tensor([1], dtype=bool).dtype is gpunn.bool
    assert gpunn.float32.is_floating_point
    assert gpunn.int8.is_signed
    assert not gpunn.uint8.is_signed


def test_what_is_no_dtype():
    with pytest.raises(TypeError, match="is not a dtype of gpunn, which has bool, uint8"):
        gpunn.zeros(1, dtype="complex64")
    with pytest.raises(TypeError, match=r"can't convert np\.ndarray of type complex128"):
        gpunn.from_numpy(np.zeros(1, complex))
