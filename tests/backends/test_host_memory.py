"""Freed memory stays with the process, unless the user has said otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone")

# As in training: what a step takes it also frees. Prints how many pages each step had to fetch.
STEPS = """
import resource
import numpy
import gpunn

def step():
    return [numpy.ones(600_000, "f4") for _ in range(8)] and None

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 10)
"""


@pytest.mark.parametrize(
    ("name", "value"), [("", ""), ("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "")]
)
def test_a_step_fetches_no_page_again(name: str, value: str):
    unset = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    if name:
        environment[name] = value
    run = subprocess.run(
        [sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, check=True
    )
    pages = int(run.stdout)
    assert pages > 20 if name else pages < 20
