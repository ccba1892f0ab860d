"""Process-wide switches, default devices, layouts and old type names: what scripts begin with."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from parity import same

import gpunn


def test_matmul_precision():
    matmul = gpunn.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        for name, allowed, seen in (
            ("high", True, "high"),
            ("medium", True, "high"),
            ("highest", False, "highest"),
        ):
            gpunn.set_float32_matmul_precision(name)
            assert matmul.allow_tf32 is allowed
            assert gpunn.get_float32_matmul_precision() == seen
        with pytest.raises(ValueError, match="is not one of 'highest', 'high', or 'medium'"):
            gpunn.set_float32_matmul_precision("exact")
        assert gpunn.get_float32_matmul_precision() == "highest"
    finally:
        matmul.fp32_precision = before


def test_deterministic_modes():
    def scenario(t: Any) -> Any:
        seen = []

        def look() -> None:
            seen.append(
                (
                    t.get_deterministic_debug_mode(),
                    t.are_deterministic_algorithms_enabled(),
                    t.is_deterministic_algorithms_warn_only_enabled(),
                )
            )

        try:
            t.use_deterministic_algorithms(True)
            look()
            t.use_deterministic_algorithms(True, warn_only=True)
            look()
            t.set_deterministic_debug_mode("error")
            look()
            t.set_deterministic_debug_mode(1)
            look()
        finally:
            t.use_deterministic_algorithms(False)
        look()
        return seen

    same(scenario)
    same(lambda t: t.use_deterministic_algorithms(3))
    same(lambda t: t.set_deterministic_debug_mode("loud"))
    same(lambda t: t.set_deterministic_debug_mode(7))


def test_compile_gives_back_what_it_is_given():
    model = gpunn.nn.Linear(2, 2)
    assert gpunn.compile(model, mode="max-autotune") is model

    @gpunn.compile
    def twice(x: int) -> int:
        return 2 * x

    @gpunn.compile(fullgraph=True)
    def thrice(x: int) -> int:
        return 3 * x

    assert (twice(2), thrice(2)) == (4, 6)


def test_default_device(device: str):
    assert gpunn.get_default_device() == gpunn.device("cpu")
    with gpunn.device(device):
        assert gpunn.zeros(2).device.type == device
        assert gpunn.tensor([1.0]).device.type == device
        assert gpunn.rand(2).device.type == device
        assert gpunn.tril_indices(2, 2).device.type == device
        assert gpunn.nn.Linear(2, 3).weight.device.type == device
        assert gpunn.zeros(2, device="cpu").device.type == "cpu"
        with gpunn.device("cpu"):
            assert gpunn.zeros(2).device.type == "cpu"
    assert gpunn.zeros(2).device.type == "cpu"
    gpunn.set_default_device(device)
    try:
        assert gpunn.get_default_device().type == device
        assert gpunn.arange(3).device.type == device
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(gpunn.zeros(1).device.type))
        thread.start()
        thread.join()
        assert found == ["cpu"]
    finally:
        gpunn.set_default_device(None)
    assert gpunn.zeros(2).device.type == "cpu"


def test_memory_formats_are_words():
    def scenario(t: Any) -> Any:
        x = t.arange(36.0).reshape(1, 4, 3, 3)
        nhwc = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return [
            x.is_contiguous(),
            x.is_contiguous(memory_format=t.channels_last),
            nhwc.is_contiguous(),
            nhwc.is_contiguous(memory_format=t.channels_last),
            x[0].is_contiguous(memory_format=t.channels_last_3d),
            x.contiguous(memory_format=t.contiguous_format) is x,
            x.to(memory_format=t.channels_last),
            x.clone(memory_format=t.preserve_format),
            repr(t.channels_last),
            repr(x.layout),
            x.layout is t.strided,
            isinstance(t.channels_last, t.memory_format),
            isinstance(t.strided, t.layout),
        ]

    same(scenario)


def test_old_type_names():
    def scenario(t: Any) -> Any:
        x = t.FloatTensor([1, 2])
        return [
            x,
            t.LongTensor([[1, 2], [3, 4]]),
            t.BoolTensor([True, False]),
            tuple(t.DoubleTensor(2, 3).shape),
            tuple(t.IntTensor().shape),
            isinstance(x, t.FloatTensor),
            isinstance(x, t.LongTensor),
            isinstance(3, t.FloatTensor),
            repr(t.HalfTensor),
            x.type(t.LongTensor),
        ]

    same(scenario)


def test_default_type_by_its_old_name():
    before = gpunn.get_default_dtype()
    try:
        for given, kind in (
            (gpunn.DoubleTensor, gpunn.float64),
            ("torch.HalfTensor", gpunn.float16),
            ("gpunn.FloatTensor", gpunn.float32),
        ):
            gpunn.set_default_tensor_type(given)
            assert gpunn.get_default_dtype() is kind
        with pytest.raises(TypeError, match="only floating-point types are supported"):
            gpunn.set_default_tensor_type(gpunn.LongTensor)
        for other in ("torch.cuda.FloatTensor", gpunn.float32, 3):
            with pytest.raises(TypeError, match="invalid type object"):
                gpunn.set_default_tensor_type(other)
    finally:
        gpunn.set_default_dtype(before)


def test_names_of_types():
    def scenario(t: Any) -> Any:
        given = [t.ones(2), t.ones(2).long(), t.nn.Module, 3, [1], len, int]
        return [t.typename(x).replace("torch.nn.modules", "torch.nn") for x in given]

    same(scenario)


def test_module_of_a_device(device: str):
    if device == "cuda":
        assert gpunn.get_device_module() is gpunn.cuda
    assert gpunn.get_device_module("cuda:0") is gpunn.cuda
    with pytest.raises(RuntimeError, match=r"registered as 'gpunn\.cpu'"):
        gpunn.get_device_module(gpunn.device("cpu"))
    with pytest.raises(RuntimeError, match="Invalid value of device '3'"):
        gpunn.get_device_module(3)


def test_functions_of_networks_under_their_short_names():
    functional = gpunn.nn.functional
    for name in ("conv2d", "rms_norm", "max_pool2d", "cosine_similarity", "prelu"):
        assert getattr(gpunn, name) is getattr(functional, name)
