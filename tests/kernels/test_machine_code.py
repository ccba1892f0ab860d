"""What the compiler makes of the kernels, on every architecture, read back from machine code.

Every build that the launcher may launch is compiled for every architecture; no GPU is needed.
"""

from __future__ import annotations

import importlib
import math
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cuda_kernels import SGEMM

from gpunn.backends import sources
from gpunn.backends.machine_code import ARCHITECTURES, Code, machine_code, problem

if reason := problem():
    pytest.skip(reason, allow_module_level=True)
importlib.import_module("gpunn.backends.device.backend")  # declares every source

# Registers: with 64 a multiprocessor holds 1024 threads. What is planned to take more is here.
REGISTERS = 64
MORE_REGISTERS = {
    # 128 sums a thread and what they take; what the few threads hold of a tile hides the latency.
    "conv2d_forward": 255,
    "conv2d_backward_data": 255,
    "conv2d_backward_weight": 255,
    # 25 taps in float64, and loads for 8 results under way at a time.
    "depthwise2d_forward": 128,
    "depthwise2d_backward_data": 128,
    "depthwise2d_backward_weight": 128,
}


def faults(code: Code) -> Iterator[str]:
    """What is wrong with any kernel."""
    if code.spills:
        yield f"spills {code.spills} bytes"
    if code.stack:
        yield f"has {code.stack} bytes of local memory"
    planned = MORE_REGISTERS.get(code.name, REGISTERS)
    if code.registers > planned:
        yield f"takes {code.registers} registers, {planned} are planned"


@pytest.mark.parametrize("arch", ARCHITECTURES, ids="sm_{}".format)
@pytest.mark.parametrize("file", sources.files)
def test_every_build_becomes_what_is_planned(file: str, arch: int) -> None:
    source = sources.files[file]

    def check(build: sources.Build) -> list[str]:
        macros = dict(build.macros)
        codes = machine_code(source.text, arch, sources.options(build.macros), file)
        found = [(code.name, f) for code in codes.values() for f in faults(code)]
        found += [
            (name, f) for name in LOOPS & set(codes) for f in loop_faults(codes[name], macros)
        ]
        return [f"{name}, {macros}: {fault}" for name, fault in found]

    builds = [build for build in source.builds if arch >= build.since]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the compiler runs on all cores
        found = [fault for each in pool.map(check, builds) for fault in each]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("file", sources.files)
def test_every_source_compiles_as_it_stands(file: str) -> None:
    codes = machine_code(sources.files[file].text, 80, [f"-I{sources.folder()}"], file)
    assert set(codes) == set(sources.files[file].kernels)


def test_every_source_is_declared() -> None:
    assert {path.name for path in sources.folder().glob("*.cu")} == set(sources.files)


@pytest.mark.parametrize("file", sources.files)
def test_every_kernel_bounds_its_launch(file: str) -> None:
    # Without a bound the compiler may take more registers than a launch of that block has.
    source = sources.files[file]
    bounded = re.findall(r"__launch_bounds__\s*\([^)]*\)\s*(\w+)\s*\(", source.text)
    assert set(bounded) == set(source.kernels)


# The loops of the convolution ------------------------------------------------------------------

LOOPS = {"conv2d_forward", "conv2d_backward_data", "conv2d_backward_weight"}

# The least part of FFMA in the loop, by STAGES and BM: the less a thread computes, the more it has
# to load. Two stages are for sm_75, which brings tiles through registers.
DENSITY = {
    "conv2d_forward": {
        "3": {"32": 0.76, "64": 0.85, "128": 0.90},
        "2": {"64": 0.84, "128": 0.88},
    },
    "conv2d_backward_weight": {
        "4": {"32": 0.69, "64": 0.80, "128": 0.86},
        "2": {"64": 0.78, "128": 0.85},
    },
}
DENSITY["conv2d_backward_data"] = DENSITY["conv2d_forward"]


def planned(name: str, macros: dict[str, str], arch: int) -> dict[str, int]:
    """How often each instruction is meant to be in the loop over one tile of k."""
    bm, bk, stages, tensor = (int(macros[key]) for key in ("BM", "BK", "STAGES", "TENSOR"))
    pair = 2 if macros["SCALAR"] in ("__half", "__nv_bfloat16") else 1  # elements in a word
    word = 8 if macros["SCALAR"] == "double" else 4  # bytes
    wide = tensor == 0 or (tensor == pair == 1 and name != "conv2d_backward_weight")
    wm, wn = min(bm, 64), 64 if bm == 128 and wide else 32  # of a warp
    threads = bm // wm * (128 // wn) * 32
    plan = dict.fromkeys(("FFMA", "DFMA", "HMMA", "LDGSTS", "STS", "LDL", "STL"), 0) | {"BAR": 1}

    if tensor:  # 16 x 8 x 8 words at a time; on sm_75 half of a word
        tiles = bk // 8 * (wm // 16), wn // 8
        plan["HMMA"] = math.prod(tiles) * tensor * (2 if arch == 75 else 1)
        plan["LDS.128"] = tiles[0]
        plan["LDS"] = tiles[0] + bk // 8 * tiles[1] * 2
    else:  # a thread: an eighth of the rows by a quarter of the columns
        plan["DFMA" if word == 8 else "FFMA"] = bk * (wm // 8) * (wn // 4)
        plan["LDS"] = plan["LDS.128"] = bk * (wm // 32 + wn // 16) * word // 4

    gathered = bk * 128 // threads  # words of b a thread brings
    if name != "conv2d_backward_weight":  # of a 16 bytes at a time; a table has two taps a load
        vectors, table = bk * bm * word // 16 // threads, gathered * pair // 2
        if stages > 2:
            plan |= {"LDGSTS": vectors + gathered, "LDGSTS.128": vectors, "LDG": table}
        else:
            plan |= {"LDG.128": vectors + table, "LDG": vectors + table + gathered * pair}
            plan |= {"STS.128": vectors, "STS": vectors + gathered}
    else:  # both word by word; a table has one pixel a load
        words = bk * bm // threads + gathered
        if stages > 2:
            plan |= {"LDGSTS": words, "LDG": 1}
        else:
            plan |= {"LDG": (words + 1) * pair, "STS": words}
    return plan


def loop_faults(code: Code, macros: dict[str, str]) -> Iterator[str]:
    """What is wrong with a convolution's loop."""
    loop = code.hot
    if loop is None:
        yield "has no loop that multiplies"
        return
    for name, plan in planned(code.name, macros, code.arch).items():
        if loop.count(name) != plan:
            yield f"has {loop.count(name)} {name} in its loop, {plan} are planned"
    runs = macros["STAGES"] != "2" or code.arch == 75
    if (macros["SCALAR"], macros["TENSOR"]) == ("float", "0") and runs:
        least = DENSITY[code.name][macros["STAGES"]][macros["BM"]]
        if loop.density < least:
            yield f"multiplies with {loop.density:.3f} of its loop's instructions, not {least}"


DEFECTS = {
    "a spill": (
        "__launch_bounds__(THREADS, BLOCKS)\n    conv2d_forward(",
        "__launch_bounds__(THREADS, 4)\n    conv2d_forward(",
        "spills",
    ),
    "a narrowed load": (
        "*(Four*)&b[slot][j * 4] = *(const Four*)(from_b + j * 16);",
        "for (int e = 0; e < 4; ++e)"
        " b[slot][j * 4 + e] = *(const volatile Word*)(from_b + j * 16 + e);",
        "LDS.128 in its loop",
    ),
    "a missing reload": (
        "if (SLOTS == 2) tile.load(memory, reading, (k + 1)",
        "if (k % 2) tile.load(memory, reading, (k + 1)",
        "LDS in its loop",
    ),
    "a barrier too many": (
        "__syncthreads();  // the next",
        "__syncthreads(), __syncthreads();  // the next",
        "2 BAR in its loop",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_planted_defects_are_found(defect: str, tmp_path: Path) -> None:
    old, new, fault = DEFECTS[defect]
    build = next(
        b
        for b in sources.files["conv2d.cu"].builds
        if b.since == 80 and dict(b.macros)["BM"] == "128"
    )
    texts = {path.name: path.read_text() for path in sources.folder().glob("*.cu*")}
    assert sum(old in text for text in texts.values()) == 1
    for name, text in texts.items():
        (tmp_path / name).write_text(text.replace(old, new))
    options = [f"-I{tmp_path}", *sources.options(build.macros)]

    def found(text: str, options: Sequence[str]) -> list[str]:
        code = machine_code(text, 86, options, "conv2d.cu")["conv2d_forward"]
        return [*faults(code), *loop_faults(code, dict(build.macros))]

    assert found(texts["conv2d.cu"], options[1:]) == []
    assert any(fault in f for f in found((tmp_path / "conv2d.cu").read_text(), options))


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
