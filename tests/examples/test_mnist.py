"""The MNIST example as a user runs it: results, resuming bit for bit, and mistakes."""

from __future__ import annotations

import gzip
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gpunn
from gpunn.data.datasets import MNIST10k
from gpunn.examples import mnist


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small MNIST in IDX files: 640 digits to train on, 200 held out."""
    root = tmp_path_factory.mktemp("digits")
    for prefix, part, n in (("train", MNIST10k(True), 640), ("t10k", MNIST10k(False), 200)):
        images, labels = part.data.numpy()[:n], part.targets.numpy()[:n]
        (root / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        with gzip.open(root / f"{prefix}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(idx(labels))
    return root


def run(*args: object) -> int:
    # Not on a simulated GPU, which the tests of operations may have installed.
    return mnist.main(["--device", "cpu", *(str(a) for a in args)])


def test_it_trains_and_names_what_it_wrote(folder, tmp_path, capsys):
    assert run("--data", folder, "--epochs", 3, "--out", tmp_path / "a") == 0
    lines = capsys.readouterr().out.splitlines()
    result = re.fullmatch(r"held-out accuracy: (\d+\.\d\d) %", lines[-5])
    assert result, lines
    assert float(result[1]) > 60  # ten classes; a few hundred images
    assert re.fullmatch(r"time: [\d.]+ s \([\d,]+ samples/s\)", lines[-4])
    paths = [Path(line.partition(": ")[2]) for line in lines[-3:]]
    assert [p.name for p in paths] == ["model.safetensors", "checkpoint.pt", "curves.png"]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(p.name for p in paths)
    assert paths[2].read_bytes().startswith(b"\x89PNG")
    model = mnist.make_model()
    model.load_state_dict(gpunn.load_file(paths[0]))
    held_out = MNIST10k(False)
    images = (held_out.tensors()[0][:200] - 0.1307) / 0.3081
    right = (model(images).argmax(1) == held_out.targets[:200]).float().mean().item()
    assert 100 * right == pytest.approx(float(result[1]), abs=0.01)


def test_the_same_seed_gives_the_same_weights(folder, tmp_path):
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run("--data", folder, "--epochs", 1, "--seed", seed, "--out", tmp_path / out) == 0
    a, b, c = ((tmp_path / d / "model.safetensors").read_bytes() for d in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("stop_after", [4, 10, 13])  # within an epoch, at its end, in the next
def test_ctrl_c_and_resume_end_with_the_same_weights(
    folder, tmp_path, capsys, monkeypatch, stop_after
):
    options = ["--data", folder, "--epochs", 3, "--batch-size", 64]
    assert run(*options, "--out", tmp_path / "whole") == 0

    from gpunn.optim import SGD

    steps, step = 0, SGD.step

    def interrupted(self, *args, **kwargs):
        nonlocal steps
        steps += 1
        if steps == stop_after:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(SGD, "step", interrupted)
    assert run(*options, "--out", tmp_path / "parts") == 130
    monkeypatch.undo()
    said = capsys.readouterr().out
    assert "saved" in said
    assert "python -m gpunn.examples.mnist" in said
    assert said.rstrip().endswith("--resume")
    gpunn.manual_seed(12345)  # what happens in between must not matter
    assert run("--out", tmp_path / "parts", "--data", folder, "--resume") == 0
    whole = gpunn.load_file(tmp_path / "whole" / "model.safetensors")
    parts = gpunn.load_file(tmp_path / "parts" / "model.safetensors")
    assert all(gpunn.equal(whole[k], parts[k]) for k in whole)
    a, b = (gpunn.load(tmp_path / d / "checkpoint.pt") for d in ("whole", "parts"))
    assert a["progress"] == b["progress"]
    assert gpunn.equal(a["random"], b["random"])


def test_resuming_a_finished_run_reports_it_again(folder, tmp_path, capsys):
    assert run("--data", folder, "--epochs", 1, "--out", tmp_path) == 0
    first = capsys.readouterr().out.splitlines()[-5]
    assert run("--data", folder, "--out", tmp_path, "--resume") == 0
    assert capsys.readouterr().out.splitlines()[-5] == first


def one_line(capsys) -> str:
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("mnist: ")
    return lines[0]


@pytest.mark.usefixtures("no_driver")
def test_mistakes_are_one_line_and_status_2(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("--data", tmp_path / "nowhere", "--out", out) == 2
    assert "nowhere" in one_line(capsys)
    assert run("--out", out, "--resume") == 2
    assert "no such checkpoint" in one_line(capsys)
    assert run("--device", "cuda", "--out", out) == 2
    assert "CUDA is not available" in one_line(capsys)
    assert run("--device", "tpu", "--out", out) == 2
    assert "tpu" in one_line(capsys)
    assert not out.exists()


def test_damaged_files_are_refused_and_nothing_is_overwritten(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("--data", folder, "--epochs", 1, "--out", out) == 0
    capsys.readouterr()
    files = {p: p.read_bytes() for p in out.iterdir()}
    checkpoint = out / "checkpoint.pt"
    whole = checkpoint.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:-1], whole[:5000] + b"!" + whole[5001:]):
        checkpoint.write_bytes(damaged)
        assert run("--data", folder, "--out", out, "--resume") == 2
        assert "checkpoint.pt" in one_line(capsys)
        assert checkpoint.read_bytes() == damaged
    gpunn.save({"weights": gpunn.zeros(3)}, checkpoint)
    assert run("--data", folder, "--out", out, "--resume") == 2
    assert "not a checkpoint of this program" in one_line(capsys)
    checkpoint.write_bytes(whole)
    assert run("--data", folder, "--out", out, "--resume", "--epochs", 2) == 2
    assert "epochs 1, not 2" in one_line(capsys)
    assert {p: p.read_bytes() for p in out.iterdir()} == files

    copy = tmp_path / "digits"
    copy.mkdir()
    for p in folder.iterdir():
        (copy / p.name).write_bytes(p.read_bytes())
    images = copy / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-7])
    assert run("--data", copy, "--out", out) == 2
    assert "train-images-idx3-ubyte" in one_line(capsys)
    assert {p: p.read_bytes() for p in out.iterdir()} == files


def test_ctrl_c_in_a_real_process(folder, tmp_path):
    """A program started by the shell, interrupted by a signal, and gone on with."""
    command = [sys.executable, "-m", "gpunn.examples.mnist", "--data", str(folder)]
    command += ["--epochs", "400", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # "training on ..."
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "to go on" in said
    state = gpunn.load(tmp_path / "checkpoint.pt")
    assert state["progress"]["epoch"] < 400
