"""The safetensors form: there and back, and to and from its own package."""

import json
import os
import stat
import struct

import numpy as np
import pytest

import gpunn
from gpunn.autograd.variable import wrap  # takes what from_numpy refuses
from gpunn.serialization import CorruptFileError, RefusedFileError

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


def sample():
    tensors = {name: gpunn.from_numpy(np.arange(6).reshape(2, 3).astype(name)) for name in DTYPES}
    tensors["empty"] = gpunn.zeros(0, 3)
    tensors["scalar"] = gpunn.tensor(2.5)
    return tensors


def check(loaded, expected):
    assert sorted(loaded) == sorted(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(loaded[name].numpy(), tensor.numpy(), strict=True)
        assert loaded[name].data.flags.writeable


def test_round_trip(tmp_path):
    path = tmp_path / "a.safetensors"
    gpunn.save_file(sample(), path, metadata={"format": "gpunn"})
    check(gpunn.load_file(path), sample())
    check(gpunn.load_file(str(path), device="cpu"), sample())
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_the_package_reads_and_writes_the_same(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    package = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "a.safetensors"
    gpunn.save_file(sample(), path, metadata={"format": "gpunn"})
    loaded = package.load_file(path)
    for name, tensor in sample().items():
        np.testing.assert_array_equal(loaded[name], tensor.numpy(), strict=True)
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"format": "gpunn"}
    package.save_file({name: tensor.numpy() for name, tensor in sample().items()}, path)
    check(gpunn.load_file(path), sample())


def test_strides_are_straightened(tmp_path):
    array = np.arange(24, dtype="float32").reshape(4, 6)
    tensors = {
        "transposed": gpunn.from_numpy(array.copy().T),
        "steps": gpunn.from_numpy(array.copy()[::2, 1::3]),
        "reversed": wrap(array.copy()[::-1]),
        "broadcast": wrap(np.broadcast_to(np.float32(3), (2, 2))),
        "parameter": gpunn.nn.Parameter(gpunn.ones(2)),
    }
    expected = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    gpunn.save_file(tensors, tmp_path / "a")
    check(gpunn.load_file(tmp_path / "a"), expected)


def test_shared_memory_is_refused(tmp_path):
    base = gpunn.ones(4, 6)
    for tensors in (
        {"apart": gpunn.ones(2), "one": base, "two": base},
        {"one": base, "two": base.t()},
        {"one": base[1:3], "apart": base[0], "two": base[2:]},
    ):
        with pytest.raises(RuntimeError, match=r"Some tensors share memory.*'one' and 'two'"):
            gpunn.save_file(tensors, tmp_path / "a")
    assert not os.listdir(tmp_path)
    gpunn.save_file({"one": base[:2], "two": base[2:]}, tmp_path / "a")  # side by side


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    gpunn.save_file(sample(), path)
    for tensors in ({"a": 1}, {1: gpunn.ones(2)}):
        with pytest.raises(TypeError, match="expected a dict of names and tensors"):
            gpunn.save_file(tensors, path)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        gpunn.save_file({"w": gpunn.ones(2)}, path)
    monkeypatch.undo()
    check(gpunn.load_file(path), sample())
    assert os.listdir(tmp_path) == ["a"]


def test_damage(tmp_path):
    path = tmp_path / "a.safetensors"
    gpunn.save_file({"w": gpunn.ones(100)}, path)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:-1], whole[:40], whole[:4], b"\xff" * 100, whole + b"0"):
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match="not a sound safetensors file") as caught:
            gpunn.load_file(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="missing"):
        gpunn.load_file(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        gpunn.load_file(tmp_path)


def test_names_the_dtype_it_does_not_have(tmp_path):
    header = json.dumps({"w": {"dtype": "F8_E5M2", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(RefusedFileError, match="tensor 'w' has dtype F8_E5M2"):
        gpunn.load_file(tmp_path / "a")
