"""What the compiler makes of the kernels, on every architecture, read back from machine code.

Every build that the launcher may launch is compiled for every architecture; no GPU is needed.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cuda_kernels import SGEMM

from gpunn.backends import sources
from gpunn.backends.machine_code import ARCHITECTURES, Code, machine_code, problem

if reason := problem():
    pytest.skip(reason, allow_module_level=True)
importlib.import_module("gpunn.backends.device.backend")  # declares every source

# Registers: with 64 a multiprocessor holds 1024 threads. What needs more is named, with its reason.
REGISTERS = 64
MORE_REGISTERS: dict[str, int] = {}
# Local memory: none, but in the kernels named here, for the reason given.
STACK: dict[str, int] = {}


@functools.cache
def compiled(file: str, arch: int) -> list[tuple[dict[str, str], dict[str, Code]]]:
    """Each build's macros and kernels. The compiler runs on all cores."""
    source = sources.files[file]

    def compile(build: sources.Build) -> tuple[dict[str, str], dict[str, Code]]:
        options = sources.options(build.macros)
        return dict(build.macros), machine_code(source.text, arch, options, file)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile, (b for b in source.builds if arch >= b.since)))


def faults(code: Code) -> Iterator[str]:
    """What is wrong with any kernel."""
    if code.spills:
        yield f"spills {code.spills} bytes"
    if code.stack > STACK.get(code.name, 0):
        yield f"has {code.stack} bytes of local memory"
    planned = MORE_REGISTERS.get(code.name, REGISTERS)
    if code.registers > planned:
        yield f"takes {code.registers} registers, {planned} are planned"


@pytest.mark.parametrize("arch", ARCHITECTURES, ids="sm_{}".format)
@pytest.mark.parametrize("file", sources.files)
def test_every_build_compiles_to_what_is_planned(file: str, arch: int) -> None:
    found = [
        f"{code.name} {macros}: {fault}"
        for macros, codes in compiled(file, arch)
        for code in codes.values()
        for fault in faults(code)
    ]
    assert not found, "\n".join(found)


def test_every_source_is_declared() -> None:
    assert {path.name for path in sources.folder().glob("*.cu")} == set(sources.files)


@pytest.mark.parametrize("file", sources.files)
def test_every_kernel_bounds_its_launch(file: str) -> None:
    # Without a bound the compiler may take more registers than a launch of that block has.
    source = sources.files[file]
    bounded = re.findall(r"__launch_bounds__\s*\([^)]*\)\s*(\w+)\s*\(", source.text)
    assert set(bounded) == set(source.kernels)


# The reader ------------------------------------------------------------------------------------


def test_reader_finds_the_hot_loop() -> None:
    code = machine_code(SGEMM, 80)["sgemm"]
    assert (code.name, code.arch, code.spills, code.stack) == ("sgemm", 80, 0, 0)
    assert code.shared == 2 * 8 * 64 * 4
    assert 16 < code.registers < 128
    assert code.hot is not None
    assert code.hot.count("FFMA") == 8 * 16  # BK unrolled, each 4 x 4
    assert 0.5 < code.hot.density == 8 * 16 / len(code.hot) < 1
    assert code.hot.count("LDS.128") == code.hot.count("LDS") == 8 * 2
    assert code.hot.count("BAR") == 2
    assert "sgemm on sm_80" in str(code)
    assert "hot loop" in str(code)


def test_reader_knows_nested_loops() -> None:
    source = """extern "C" __global__ void sums(const float* x, float* y, int rows, int n) {
      #pragma unroll 1
      for (int r = 0; r < rows; r++) {
        float sum = 0;
        #pragma unroll 1
        for (int i = 0; i < n; i++) sum = fmaf(x[i], x[i + r], sum);
        y[r] = sum;
      }
    }"""
    code = machine_code(source, 86)["sums"]
    [outer] = [loop for loop in code.loops if not loop.inner]
    inner = code.hot
    assert inner is not None
    assert inner.inner
    assert (inner.count("FFMA"), inner.count("LDG"), inner.count("STG")) == (1, 2, 0)
    assert (outer.count("FFMA"), outer.count("LDG"), outer.count("STG")) == (1, 2, 1)


def test_reader_tells_widths_apart() -> None:
    source = """extern "C" __global__ void copy(const ELEMENT* x, ELEMENT* y) {
      y[threadIdx.x] = x[threadIdx.x];
    }"""
    for type, width in ("float", ""), ("float2", ".64"), ("float4", ".128"):
        code = machine_code(source, 90, [f"-DELEMENT={type}"])["copy"]
        wide = [code.count(f"LDG{w}") for w in (".64", ".128")]
        assert code.count("LDG") == code.count("STG") == 1
        assert wide == [int(width == w) for w in (".64", ".128")]
        assert code.loops == ()
        assert code.hot is None


def test_reader_sees_spills_and_local_memory() -> None:
    spilling = """extern "C" __global__ void __launch_bounds__(1024, 2) spills(float* x) {
      float v[64];
      #pragma unroll
      for (int i = 0; i < 64; i++) v[i] = x[i * 1024 + threadIdx.x];
      __syncthreads();
      #pragma unroll
      for (int i = 0; i < 64; i++) x[(63 - i) * 1024 + threadIdx.x] = v[i] * v[(i + 7) % 64];
    }"""
    code = machine_code(spilling, 80)["spills"]
    assert code.spills > 0
    assert any("spills" in fault for fault in faults(code))
    indexed = """extern "C" __global__ void indexed(const int* i, float* x) {
      float v[64] = {};
      for (int k = 0; k < 1000; k++) v[i[k]] += x[k];
      for (int k = 0; k < 64; k++) x[k] = v[k];
    }"""
    code = machine_code(indexed, 80)["indexed"]
    assert code.stack >= 256
    assert any("local memory" in fault for fault in faults(code))


def test_reader_says_why_a_source_does_not_compile() -> None:
    with pytest.raises(RuntimeError, match=r"wrong\.cu does not compile:\n.*wrong\.cu\(1\)"):
        machine_code('extern "C" __global__ void f() { return 1; }', 80, name="wrong.cu")
