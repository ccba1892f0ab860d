"""What a fresh process sees: the command line, ends with status 0, nothing left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gpunn.sim

if gpunn.sim.problem() is not None:
    pytest.skip(str(gpunn.sim.problem()), allow_module_level=True)

SCRIPT = """
import sys
import cupy
code = '''extern "C" __global__ void add(float* y, int n) {
  int i = threadIdx.x;
  if (i < n) y[i] += 1;
}'''
y = cupy.zeros(100, "f4")
cupy.RawKernel(code, "add")((1,), (int(sys.argv[1]),), (y, cupy.int32(int(sys.argv[2]))))
print(float(y.sum()))
"""


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(SCRIPT)
    root = str(Path(gpunn.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "gpunn.sim", *arguments],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": root,
            "HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_script_runs_and_leaves_nothing(tmp_path: Path):
    done = run(tmp_path, "script.py", "128", "100")
    assert (done.returncode, done.stdout) == (0, "100.0\n")
    assert done.stderr.startswith("gpunn.sim: a simulated sm_80 runs this;")
    assert done.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["script.py"]


def test_a_defect_is_an_exception(tmp_path: Path):
    done = run(tmp_path, "--arch", "120", "script.py", "128", "101")
    assert done.returncode == 1
    assert "add: out-of-bounds 4-byte load at add.cu:3, thread (100, 0, 0)" in done.stderr
    assert "array 1, made at script.py:8 (400 bytes), argument 1" in done.stderr


def test_profile_and_json(tmp_path: Path):
    done = run(tmp_path, "--profile", "--json", "p.json", "--seed", "3", "script.py", "128", "100")
    assert done.returncode == 0
    assert "add.cu:3" in done.stderr
    assert json.loads((tmp_path / "p.json").read_text())["add"]["add.cu:3"]["requests"] == 8


def test_no_check_and_bad_arguments(tmp_path: Path):
    done = run(tmp_path, "--no-check", "script.py", "64", "100")
    assert (done.returncode, done.stdout) == (0, "64.0\n")
    assert run(tmp_path, "--arch", "81", "script.py").returncode == 2


@pytest.mark.parametrize("script", ["pass", "import cupy; x = cupy.arange(9); y = x + 1"])
def test_processes_end_well(tmp_path: Path, script: str):
    """CuPy's destructors run after Python has ended: they must meet no Python code."""
    code = f"import gpunn.sim; gpunn.sim.install()\n{script}"
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


DEVICES = """
import cupy
import pytest
code = '''extern "C" __global__ void add(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x] + 1;
}'''
add = cupy.RawKernel(code, "add")
x = cupy.arange(4, dtype="f4")
with cupy.cuda.Device(1):
    y = cupy.ones(4, "f4")
    add((1,), (4,), (y, y))
    z = cupy.asarray(x) + y
    with cupy.cuda.Stream():
        z += 1
    with pytest.raises(RuntimeError, match="another device's memory.*\\n.*\\n.*\\n.*on device 0"):
        add((1,), (4,), (x, y))
    assert (y.device.id, cupy.cuda.runtime.pointerGetAttributes(z.data.ptr).device) == (1, 1)
assert cupy.cuda.runtime.getDeviceCount() == 2
assert z.get().tolist() == [3, 4, 5, 6]
add((1,), (4,), (x, x))
assert x.get().tolist() == [1, 2, 3, 4]
with pytest.raises(RuntimeError, match="cudaErrorInvalidDevice: device 2 of 2"):
    cupy.cuda.Device(2).use()
free, total = cupy.cuda.runtime.memGetInfo()
assert (total, free > 2**24) == (2**25, True)
keep = cupy.zeros(2**21)
with pytest.raises(cupy.cuda.memory.OutOfMemoryError, match="33,554,432 bytes"):
    cupy.zeros(2**22)
with cupy.cuda.Device(1):
    cupy.zeros(2**21)
with pytest.raises(RuntimeError, match="2 simulated sm_80 installed already"):
    import gpunn.sim
    gpunn.sim.install(devices=3)
"""


def test_two_devices_with_little_memory(tmp_path: Path):
    (tmp_path / "devices.py").write_text(DEVICES)
    done = run(tmp_path, "--devices", "2", "--memory", str(2**25 / 2**30), "devices.py")
    assert done.returncode == 0, done.stderr


def test_the_memory_can_be_less_for_a_while():
    from gpunn.sim.testing import ensure_cuda

    if ensure_cuda() is not None or not gpunn.sim.installed():
        pytest.skip("CuPy uses the GPU here")
    import cupy

    gpunn.sim.install(memory=1 << 16)
    try:
        with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
            cupy.zeros(1 << 20)
    finally:
        gpunn.sim.install()
    assert not cupy.zeros(1 << 20).any()
    with pytest.raises(ValueError, match="it cannot grow"):
        gpunn.sim.install(memory=1 << 40)


@pytest.mark.parametrize("name", ["arch", "budget", "devices", "memory"])
def test_wrong_options_are_refused(name: str):
    with pytest.raises(ValueError, match=f"{name} must be"):
        gpunn.sim.install(**{name: 0})


def test_the_folder_of_a_killed_process_goes_with_the_next(tmp_path: Path):
    code = "import gpunn.sim, os, signal; gpunn.sim.install(); os.kill(os.getpid(), signal.SIGKILL)"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    assert run(tmp_path, "script.py", "128", "100").returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["script.py"]
