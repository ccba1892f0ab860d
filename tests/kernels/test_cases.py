"""The proof of each kernel: its operation on CUDA against the CPU, and which kernel it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpunn.backends import sources
from gpunn.kernels.cases import CASES, family
from gpunn.kernels.check import TOLERANCE, check, compare

FAMILIES = sorted({family(path.name) for path in sources.folder().glob("*.cu")})


@pytest.mark.parametrize("kin", FAMILIES)
def test_all_kernels_of_a_family_run_and_agree_with_the_cpu(cuda: Any, kin: str) -> None:
    launched = {name for case in CASES[kin] for dtype in TOLERANCE for name in compare(case, dtype)}
    known = sources.catalogue().items()
    missing = {name for name, (file, _) in known if family(file) == kin} - launched
    assert not missing, f"no case in gpunn.kernels.cases launched: {', '.join(sorted(missing))}"


def test_every_family_has_cases() -> None:
    assert sorted(CASES) == FAMILIES


def mine(folder: Path, file: str, old: str = "", new: str = "") -> Path:
    """A copy of gpunn's, with a change."""
    text = (sources.folder() / file).read_text()
    assert old in text
    path = folder / "mine.cu"
    path.write_text(text.replace(old, new))
    return path


def test_a_sound_copy_passes_the_check(cuda: Any, tmp_path: Path) -> None:
    said: list[str] = []
    check(mine(tmp_path, "dropout.cu"), said.append)
    names = [name for name, (file, _) in sources.catalogue().items() if file == "dropout.cu"]
    for name in names:
        assert any(line.startswith(f"{name}: ") and "agree with the CPU" in line for line in said)
    assert sources.replacements == {}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("value > best ||", "value >= best ||", "max_pool2d of equals, .* gradient of input 0"),
        ("SCALAR* __restrict__ dx", "ACCUM* __restrict__ dx", "parameters in mine.cu differ from"),
    ],
)
def test_a_defective_copy_fails_the_check(
    cuda: Any, tmp_path: Path, old: str, new: str, fault: str
) -> None:
    with pytest.raises((AssertionError, TypeError), match=fault):
        check(mine(tmp_path, "pooling.cu", old, new), [].append)
    assert sources.replacements == {}


def test_a_file_without_kernels_is_refused(cuda: Any, tmp_path: Path) -> None:
    empty = tmp_path / "mine.cu"
    empty.write_text("// nothing\n")
    with pytest.raises(
        ValueError, match=r'mine.cu has no kernel: no extern "C" __global__ function'
    ):
        check(empty)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpunn.kernels", *arguments], capture_output=True, text=True
    )


def test_the_command_lists_every_kernel() -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    for name, (file, _) in sources.catalogue().items():
        assert f"{file}: {name}(" in done.stdout


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    done = run("check", str(tmp_path / "none.cu"))
    assert done.returncode == 1
    assert "there is no file" in done.stderr
