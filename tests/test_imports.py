"""What `import gpunn` costs: NumPy, and nothing else that is heavy."""

import subprocess
import sys

HEAVY = ["scipy", "cupy", "safetensors", "matplotlib", "tqdm", "torch", "multiprocessing.pool"]


def test_importing_gpunn_loads_nothing_heavy():
    code = "import sys, numpy; before = set(sys.modules); import gpunn; print(*set(sys.modules) - before)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "gpunn" in loaded
    assert not {name for name in loaded if name.split(".")[0] in HEAVY}
