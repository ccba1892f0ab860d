"""What the doctests of the package need."""

import importlib.util

# Imported whole before pytest imports its modules one by one: a second import of gpunn/tensor.py
# would put that module where gpunn.tensor, the function, belongs.
import gpunn  # noqa: F401

collect_ignore = [] if importlib.util.find_spec("cupy") else ["gpunn/backends/cuda.py"]
