"""What `import gpunn` costs: NumPy, and nothing else that is heavy."""

import subprocess
import sys

HEAVY = {"scipy", "cupy", "safetensors", "matplotlib", "tqdm", "torch"}


def test_importing_gpunn_loads_nothing_heavy():
    code = "import sys, gpunn; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "gpunn" in loaded
    assert not HEAVY & loaded
