"""Counters against values worked out by hand."""

import numpy as np
import pytest
from simulated import Machine, compiled, line_of

pytest.importorskip("cupy")
pytest.importorskip("nvidia.cu13")

SOURCE = """
extern "C" __global__ void access(const float* x, float* y, int step) {
  __shared__ float s[2048];
  int t = threadIdx.x;
  float v = x[t * step];  // global
  s[t * step] = v;  // shared
  __syncthreads();
  y[t] = s[t * step] + s[0];  // coalesced
}
extern "C" __global__ void wide(const float4* x, float4* y) {
  __shared__ float4 s[64];
  s[threadIdx.x] = x[threadIdx.x];  // wide
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x ^ 1];  // swapped
}
"""


def profile(name: str, *arguments):
    machine = Machine(profile=True)
    machine.run(compiled(SOURCE, 80), name, (1,), (64,), *arguments)
    lines = machine.device.profile.kernel(name).lines
    return {mark: lines["test.cu", line_of(SOURCE, f"// {mark}")] for mark in MARKS[name]}


MARKS = {"access": ("global", "shared", "coalesced"), "wide": ("wide", "swapped")}


@pytest.mark.parametrize(
    ("step", "sectors", "wavefronts"),
    [
        (1, 8, 2),  # two warps of 128 bytes: four sectors each; no conflict
        (2, 16, 4),  # every second word: twice the sectors; two words in each bank
        (8, 64, 16),  # a sector for each thread; eight threads meet in each bank used
        (32, 64, 64),  # all 32 threads of a warp in one bank
        (0, 2, 2),  # all threads read one word
    ],
)
def test_strides(step: int, sectors: int, wavefronts: int):
    x, y = np.ones(2048, "f4"), np.zeros(64, "f4")
    lines = profile("access", x, y, np.int32(step))
    assert (lines["global"].requests, lines["global"].sectors) == (2, sectors)
    assert lines["global"].least_sectors == (8 if step else 2)
    assert (lines["shared"].wavefronts, lines["shared"].least_wavefronts) == (wavefronts, 2)
    assert (lines["coalesced"].sectors, lines["coalesced"].least_sectors) == (8, 8)
    assert lines["coalesced"].wavefronts == wavefronts + 2  # and a broadcast for each warp


def test_vectors():
    x, y = np.ones(256, "f4"), np.zeros(256, "f4")
    lines = profile("wide", x, y)
    assert (lines["wide"].requests, lines["wide"].sectors, lines["wide"].least_sectors) == (
        2,
        32,
        32,
    )
    # 16 bytes for each of eight threads fill the banks once: four wavefronts for each warp.
    assert (lines["wide"].wavefronts, lines["wide"].least_wavefronts) == (8, 8)
    assert (lines["swapped"].wavefronts, lines["swapped"].least_wavefronts) == (8, 8)


def test_instructions_count_warps_and_threads():
    source = (
        'extern "C" __global__ void k(int* y) {\n  if (threadIdx.x < 40) y[threadIdx.x] = 1;\n}'
    )
    machine = Machine(profile=True)
    machine.run(compiled(source, 80), "k", (1,), (64,), np.zeros(40, "i4"))
    line = machine.device.profile.kernel("k").lines["test.cu", 2]
    assert line.thread_instructions == machine.device.executed - _others(machine)
    assert (line.requests, line.sectors, line.least_sectors) == (2, 5, 5)


def _others(machine: Machine) -> int:
    lines = machine.device.profile.kernel("k").lines
    return sum(c.thread_instructions for where, c in lines.items() if where != ("test.cu", 2))


def test_table_and_json(tmp_path):
    import json

    machine = Machine(profile=True)
    machine.run(compiled(SOURCE, 80), "wide", (1,), (64,), np.ones(256, "f4"), np.zeros(256, "f4"))
    machine.device.profile.write(str(tmp_path / "p.json"))
    line = f"test.cu:{line_of(SOURCE, '// swapped')}"
    counters = json.loads((tmp_path / "p.json").read_text())["wide"][line]
    assert counters["sectors"] == 32
    table = machine.device.profile.table()
    row = next(r for r in table.split("\n") if line in r)
    assert row.split()[1:7] == [
        str(counters[k])
        for k in (
            "instructions",
            "requests",
            "sectors",
            "least_sectors",
            "wavefronts",
            "least_wavefronts",
        )
    ]
    assert row.endswith("// swapped")
