"""What the doctests of the package need."""

import importlib.util

# Imported whole before pytest imports its modules one by one: a second import of gpunn/tensor.py
# would put that module where gpunn.tensor, the function, belongs.
import gpunn
import gpunn.sim

collect_ignore = [] if importlib.util.find_spec("cupy") else ["gpunn/backends/device"]
if gpunn.sim.problem() is not None:  # they are about machine code of this platform
    collect_ignore += ["gpunn/sim/patch.py", "gpunn/sim/runtime.py"]
