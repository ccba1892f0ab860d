"""Sound kernels pass; each deliberately broken variant is reported: kind, line, thread, fix."""

# ruff: noqa: E501

import re
from dataclasses import dataclass, field

import numpy as np
import pytest
from cuda_kernels import MMA_F16, PIPELINE, REDUCE, SGEMM
from simulated import Machine, compiled, line_of

from gpunn.sim.report import FIXES, Defect

pytest.importorskip("cupy")
pytest.importorskip("nvidia.cu13")

COPY = """
extern "C" __global__ void copy(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    float v = x[i];
    y[i] = v;
  }
}
"""
REVERSE = """
extern "C" __global__ void reverse(const float* x, float* y) {
  extern __shared__ float tile[];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  tile[threadIdx.x] = x[i];
  __syncthreads();
  y[i] = tile[blockDim.x - 1 - threadIdx.x];
}
"""
VECTOR = """
extern "C" __global__ void vector(const float* x, float* y) {
  float4 v = ((const float4*)x)[threadIdx.x];
  ((float4*)y)[threadIdx.x] = v;
}
"""
HISTOGRAM = """
extern "C" __global__ void histogram(const int* x, int* bins, int n) {
  __shared__ int mine[16];
  if (threadIdx.x < 16) mine[threadIdx.x] = 0;
  __syncthreads();  // cleared
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(&mine[x[i] & 15], 1);
  __syncthreads();  // counted
  if (threadIdx.x < 16) atomicAdd(&bins[threadIdx.x], mine[threadIdx.x]);
}
"""
STEPS = """
extern "C" __global__ void steps(const float* x, float* y) {
  __shared__ float s[64];
  int t = threadIdx.x;
  s[t] = x[t];
  s[t + 32] = 0;
  __syncwarp();
  for (int o = 16; o > 0; o >>= 1) {
    float v = s[t + o];
    __syncwarp();  // read
    s[t] += v;
    __syncwarp();  // written
  }
  if (t == 0) *y = s[0];
}
"""
LOOKBACK = """
extern "C" __global__ void lookback(const int* x, int* y, volatile int* flag, int* part) {
  int b = blockIdx.x;
  if (threadIdx.x > 0) return;
  int sum = x[b];
  if (b > 0) {
    while (flag[b - 1] == 0);
    __threadfence();
    sum += part[b - 1];
  }
  part[b] = sum;
  __threadfence();
  flag[b] = 1;
  y[b] = sum;
}
"""
LAST_BLOCK = """
extern "C" __global__ void last(const float* x, float* part, unsigned* count, float* out) {
  __shared__ bool final;
  if (threadIdx.x == 0) {
    part[blockIdx.x] = x[blockIdx.x];
    __threadfence();
    final = atomicInc(count, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (final && threadIdx.x == 0) {
    float s = 0;
    for (int i = 0; i < gridDim.x; i++) s += part[i];
    *out = s;
  }
}
"""
WARP = """
extern "C" __global__ void warp(const float* x, float* y) {
  __shared__ float s[32];
  int lane = threadIdx.x;
  float v = x[lane];
  v += __shfl_xor_sync(0xffffffffu, v, 16);
  unsigned m = __ballot_sync(0xffffffffu, v > 0);
  s[lane] = v;
  __syncwarp();
  y[lane] = s[31 - lane] + __popc(m);
}
"""
STACK = """
extern "C" __global__ void stack(const int* index, float* y) {
  float a[8];
  for (int i = 0; i < 8; i++) a[i] = i;
  y[threadIdx.x] = a[index[threadIdx.x]];
}
"""
LOOP = """
extern "C" __global__ void loop(volatile int* x, int* y) {
  int n = 0;
  while (n < 10) n += x[0];
  y[threadIdx.x] = n;
}
"""
HALF = """
extern "C" __global__ void half_tile(const unsigned short* x, unsigned short* y) {
  __shared__ unsigned short s[64];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}
"""

NAMED = """
extern "C" __global__ void named(const float* x, float* y) {
  __shared__ float s[32];
  if (threadIdx.x < 32) {
    s[threadIdx.x] = x[threadIdx.x];
    asm volatile("bar.arrive 1, 64;" ::: "memory");
  } else {
    asm volatile("bar.sync 1, 64;" ::: "memory");
    y[threadIdx.x - 32] = s[63 - threadIdx.x];
  }
}
"""
LOCK = """
extern "C" __global__ void lock(int* lock, volatile int* y) {
  for (int turn = 0; turn < 2; turn++) {
    bool done = false;
    while (!done)
      if (atomicCAS(lock, 0, 1) == 0) {
        y[0] = y[0] + 1;
        __threadfence();
        atomicExch(lock, 0);
        done = true;
      }
  }
}
"""

F = np.arange(1, 8193, dtype="f4")


@dataclass
class Sound:
    source: str
    name: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: tuple = field(default_factory=tuple)
    dynamic: int = 0


KERNELS = {
    "copy": Sound(COPY, "copy", (3,), (64,), (F[:150], F[:150], np.int32(150))),
    "reverse": Sound(REVERSE, "reverse", (2,), (64,), (F[:128], F[:128]), 256),
    "vector": Sound(VECTOR, "vector", (1,), (32,), (F[:128], F[:128])),
    "histogram": Sound(HISTOGRAM, "histogram", (2,), (64,), (np.arange(100, dtype="i4"), np.zeros(16, "i4"), np.int32(100))),
    "last": Sound(LAST_BLOCK, "last", (5,), (32,), (F[:5], F[:5], np.zeros(1, "u4"), F[:1])),
    "warp": Sound(WARP, "warp", (1,), (32,), (F[:32], F[:32])),
    "stack": Sound(STACK, "stack", (1,), (32,), (np.arange(32, dtype="i4") % 8, F[:32])),
    "loop": Sound(LOOP, "loop", (1,), (32,), (np.ones(1, "i4"), np.zeros(32, "i4"))),
    "named": Sound(NAMED, "named", (1,), (64,), (F[:32], F[:32])),
    "steps": Sound(STEPS, "steps", (1,), (32,), (F[:32], F[:1])),
    "lookback": Sound(LOOKBACK, "lookback", (9,), (32,), (*(np.arange(9, dtype="i4") for _ in range(2)), np.zeros(9, "i4"), np.zeros(9, "i4"))),
    "lock": Sound(LOCK, "lock", (1,), (8,), (np.zeros(1, "i4"), np.zeros(1, "i4"))),
    "half": Sound(HALF, "half_tile", (1,), (64,), (np.arange(64, dtype="u2"), np.zeros(64, "u2"))),
    "sgemm": Sound(SGEMM, "sgemm", (1, 2), (256,), (*(np.int32(v) for v in (128, 64, 16)), F[: 128 * 16], F[: 16 * 64], F)),
    "reduce": Sound(REDUCE, "reduce", (3,), (128,), (F[:1000], F[:1], np.int32(1000))),
    "mma": Sound(MMA_F16, "mma_f16", (1,), (32,), (np.ones((16, 32), "f2"), np.ones((32, 8), "f2"), F[:128], np.int32(32))),
    "pipeline": Sound(PIPELINE, "pipeline", (1,), (64,), (F[: 256 * 5], F[:256], np.int32(5))),
}  # fmt: skip


def launch(kernel: Sound, source: str, **other) -> None:
    file = f"{kernel.name}.cu"
    machine = Machine(budget=other.pop("budget", 200_000), seed=other.pop("seed", 0))
    arguments = [
        a.copy() if isinstance(a, np.ndarray) else a
        for a in other.get("arguments", kernel.arguments)
    ]
    machine.run(
        compiled(source, 80, file),
        kernel.name,
        other.get("grid", kernel.grid),
        other.get("block", kernel.block),
        *arguments,
        dynamic=other.get("dynamic", kernel.dynamic),
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", KERNELS)
def test_sound_kernels_pass(name: str, seed: int):
    launch(KERNELS[name], KERNELS[name].source, seed=seed)


# The kind of defect: kernel, what is replaced by what, the words, a piece of the line to blame.
MUTANTS = {
    "out of bounds": [
        ("copy", "i < n", "i <= n", "out-of-bounds 4-byte load", "v = x[i]"),
        ("copy", "if (i < n)", "", "out-of-bounds 4-byte load", "v = x[i]"),
        ("copy", "y[i] = v", "y[i - 1] = v", "out-of-bounds 4-byte store", "y[i - 1]"),
        ("copy", "x[i];", "x[i + (1 << 20)];", "out-of-bounds 4-byte load", "(1 << 20)"),
        ("reverse", "blockDim.x - 1 -", "blockDim.x -", "out-of-bounds 4-byte load", "y[i] = tile"),
        ("sgemm", "(k0 + q / 16) * N", "(k0 + q / 16 + 1) * N", "out-of-bounds 16-byte load", "const float4*)(B"),
        ("stack", "index[threadIdx.x]]", "index[threadIdx.x] + 1]", "out-of-bounds 4-byte load", "y[threadIdx.x] = a["),
    ],
    "misaligned": [
        ("vector", "((const float4*)x)[threadIdx.x]", "*(const float4*)(x + threadIdx.x)", "misaligned 16-byte", "float4"),
        ("sgemm", "&Bs[q / 16][q % 16 * 4]", "(&Bs[q / 16][q % 16 * 4] + 1)", "misaligned 16-byte", "*(float4*)(&Bs"),
        ("half", "s[63 - threadIdx.x]", "*(unsigned*)(s + 62 - threadIdx.x % 62)", "misaligned 4-byte access", "*(unsigned*)"),
    ],
    "uninitialised": [
        ("histogram", "if (threadIdx.x < 16) mine", "if (threadIdx.x < 15) mine", "uninitialised 4-byte load", "atomicAdd(&mine"),
        ("stack", "i < 8", "i < 7", "uninitialised 4-byte load", "y[threadIdx.x] = a["),
        ("reduce", "if (lane == 0) part[warp] = s;", "if (threadIdx.x == 0) part[warp] = s;", "uninitialised 4-byte load", "? part[lane]"),
    ],
    "shared-memory race": [
        ("steps", "    __syncwarp();  // read\n", "", "shared-memory race", "s[t] += v"),
        ("steps", "    __syncwarp();  // written\n", "", "shared-memory race", "s[t + o]"),
        ("reverse", "  __syncthreads();\n", "", "shared-memory race", "y[i] = tile"),
        ("sgemm", "    __syncthreads();  // loaded\n", "", "shared-memory race", "float4 "),
        ("sgemm", "    __syncthreads();  // used\n", "", "shared-memory race", "As[c][r] = a.x"),
        ("reduce", "  __syncthreads();\n", "", "shared-memory race", "? part[lane]"),
        ("histogram", "  __syncthreads();  // counted\n", "", "shared-memory race", "mine[threadIdx.x]);"),
        ("histogram", "  __syncthreads();  // cleared\n", "", "shared-memory race", "atomicAdd(&mine"),
        ("histogram", "atomicAdd(&mine[x[i] & 15], 1)", "mine[x[i] & 15] += 1", "shared-memory race", "mine[x[i] & 15] += 1"),
        ("warp", "  __syncwarp();\n", "", "shared-memory race", "s[31 - lane]"),
        ("half", "  __syncthreads();\n", "", "shared-memory race", "s[63 - threadIdx.x]"),
        ("mma", "    __syncwarp();\n    unsigned x", "    unsigned x", "shared-memory race", "ldmatrix.sync.aligned.m8n8.x4"),
        ("reverse", "__syncthreads();", "if (threadIdx.x < 32) __syncthreads();", "shared-memory race", "y[i] = tile"),
        ("pipeline", "    __syncthreads();  // arrived\n", "", "shared-memory race", "s[i] +="),
        ("pipeline", "fetch(tile + 2)", "fetch(tile + 3)", "shared-memory race", "cp.async.cg"),
    ],
    "race between blocks": [
        ("lookback", "  __threadfence();\n  flag", "  flag", "race between blocks", "part[b - 1]"),
        ("lookback", "volatile int* flag", "int* flag", "race between blocks", "flag[b"),
        ("reduce", "atomicAdd(out, s)", "*out += s", "race between blocks", "*out += s"),
        ("copy", "y[i] = v", "y[threadIdx.x] = v", "race between blocks", "y[threadIdx.x]"),
        ("last", "    __threadfence();\n", "", "race between blocks", "s += part[i]"),
        ("histogram", "atomicAdd(&bins[threadIdx.x], mine[threadIdx.x])", "bins[threadIdx.x] += mine[threadIdx.x]", "race between blocks", "bins[threadIdx.x] +="),
    ],
    "barrier": [
        ("histogram", "__syncthreads();  // counted", "if (threadIdx.x < 32) __syncthreads();  // counted", "barrier skipped", "// counted"),
        ("histogram", "int i = blockIdx.x", "if (threadIdx.x >= 48) return;\n  int i = blockIdx.x", "barrier skipped", "// counted"),
        ("reverse", "__syncthreads();", "if (i & 1) { __syncthreads(); y[i] = 0; } else { __syncthreads(); y[i] = 1; }", "barrier in divergent code", "y[i] = 0;"),
        ("named", "bar.arrive 1, 64", "bar.arrive 1, 96", "barrier with two counts", "bar.sync 1, 64"),
        ("named", "    asm volatile(\"bar.arrive 1, 64;\" ::: \"memory\");\n", "", "barrier that never completes", "bar.sync 1, 64"),
    ],
    "absent lanes": [
        ("warp", "v += __shfl", "if (lane < 16) v += __shfl", "absent", "__shfl_xor_sync"),
        ("warp", "v += __shfl_xor_sync(0xffffffffu, v, 16)", "if (lane & 1) v += __shfl_xor_sync(0xaaaaaaaau, v, 1)", "shuffle from an absent lane", "__shfl"),
        ("warp", "unsigned m = __ballot_sync(0xffffffffu, v > 0)", "unsigned m = 0; if (lane > 3) m = __ballot_sync(0xffffffffu, v > 0)", "absent lanes", "__ballot_sync"),
        ("mma", "  const int lane", "  if (threadIdx.x > 15) return;\n  const int lane", "matrix operation with absent lanes", "ldmatrix.sync.aligned.m8n8.x4"),
        ("mma", "    asm volatile(\"ldmatrix.sync.aligned.m8n8.x2", "    if (lane > 1) asm volatile(\"ldmatrix.sync.aligned.m8n8.x2", "absent lanes", "ldmatrix.sync.aligned.m8n8.x2"),
    ],
    "cp.async": [
        ("pipeline", "cp.async.wait_group 1", "cp.async.wait_group 2", "before cp.async has completed", "s[i] +="),
        ("pipeline", '    asm volatile("cp.async.wait_group 1;" ::: "memory");\n', "", "before cp.async has completed", "s[i] +="),
        ("pipeline", "cp.async.commit_group;", "", "before cp.async has completed", "s[i] +="),
    ],
    "endless": [
        ("loop", "n += x[0]", "n = x[0]", "still running", "while (n < 10)"),
        ("copy", "if (i < n) {", "while (i < n) {", "still running", "while (i < n) {"),
        ("lock", "atomicExch(lock, 0);", "", "still running", "atomicCAS"),
    ],
    "trap": [
        ("copy", "y[i] = v;", "if (v > 99) __trap();\n    y[i] = v;", "trap", "__trap"),
        ("copy", "y[i] = v;", "assert(v < 100);\n    y[i] = v;", "assertion `v < 100` failed (copy.cu:6)", "assert"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "kernel", "old", "new", "what", "blamed"),
    [(kind, *mutant) for kind, mutants in MUTANTS.items() for mutant in mutants],
)
def test_broken_kernels_are_reported(
    kind: str, kernel: str, old: str, new: str, what: str, blamed: str
):
    sound = KERNELS[kernel]
    assert old in sound.source
    source = sound.source.replace(old, new, 1)
    with pytest.raises(Defect) as caught:
        launch(sound, source, budget=20_000)
    text = str(caught.value)
    assert text.startswith(f"{sound.name}: ")
    assert what in text
    match = re.search(rf" at {sound.name}\.cu:(\d+), thread \(\d+, \d+, \d+\) of block \(\d+, 0, 0\)|"
                      rf" at {sound.name}\.cu:(\d+), thread \(\d+, \d+, \d+\) of block \(0, \d+, 0\)", text)  # fmt: skip
    assert match, text
    line = int(match[1] or match[2])
    assert blamed in source.split("\n")[line - 1], text
    assert text.endswith(f"\n  fix: {FIXES[kind]}")


def test_the_report_in_full():
    with pytest.raises(Defect) as caught:
        launch(KERNELS["copy"], COPY.replace("i < n", "i <= n"))
    line = line_of(COPY, "v = x[i]")
    assert str(caught.value) == (
        f"copy: out-of-bounds 4-byte load at copy.cu:{line}, thread (22, 0, 0) of block (2, 0, 0)\n"
        f"  copy.cu:{line}: float v = x[i];\n"
        "  PTX: ld.global.f32 %f1, [%rd5]\n"
        "  0 bytes past the end of array 1 (600 bytes), argument 1\n"
        "  fix: guard the access with the array's size, or launch as many threads as there are elements"
    )


@pytest.mark.parametrize("name", ["flags", "left", "right", "rest"])
def test_shared_arrays_are_named(name: str):
    tiles = """
__shared__ float flags[32];
extern "C" __global__ void tiles(const float* x, float* y) {
  __shared__ float left[32], right[32];
  extern __shared__ float rest[];
  int t = threadIdx.x;
  flags[t] = x[t];
  left[t] = x[t];
  right[t] = x[t];
  rest[t] = x[t];
  y[t] = flags[t] + left[t] + right[t] + rest[t];
}
"""
    kernel = Sound(tiles, "tiles", (1,), (32,), (F[:32], F[:32]), 128)
    broken = tiles.replace(f"  {name}[t] = x[t];", f"  if (t != 5) {name}[t] = x[t];")
    with pytest.raises(Defect, match=rf"\n  byte 20 of {name}, offset \d+ in shared memory of 512"):
        launch(kernel, broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": (2048,)}, "block over the limits"),
        ({"block": (8, 1, 128)}, "block over the limits"),
        ({"grid": (1, 70000)}, "grid over the limits"),
        ({"grid": (0,)}, "grid over the limits"),
        ({"dynamic": 60000}, "shared memory over the limits"),
    ],
)
def test_launches_over_the_limits(change: dict, message: str):
    with pytest.raises(Defect, match=message):
        launch(KERNELS["reverse"], REVERSE, **change)


def test_matrix_operations_need_whole_warps():
    with pytest.raises(Defect, match="matrix operation with absent lanes"):
        launch(KERNELS["mma"], MMA_F16, block=(20,))


def test_launch_bounds_are_a_limit():
    with pytest.raises(Defect, match="its __launch_bounds__ is 256"):
        launch(KERNELS["sgemm"], SGEMM, block=(512,))


def test_no_check_runs_on():
    """Only what no machine could do is refused: the rest gives some result."""
    machine, x, y = Machine(check=False), F[:128].copy(), F[:128].copy()
    racy = REVERSE.replace("  __syncthreads();\n", "")
    machine.run(compiled(racy, 80), "reverse", (2,), (64,), x, y, dynamic=256)


def test_the_order_of_warps_follows_the_seed():
    """Which warp's store stays is a race's outcome: without checks it shows the order."""
    source = 'extern "C" __global__ void race(volatile int* y) {\n  y[0] = threadIdx.x / 32;\n __syncthreads();\n y[1] = threadIdx.x / 32; }'
    seen = set()
    for seed in range(8):
        y = np.zeros(2, "i4")
        Machine(check=False, seed=seed).run(compiled(source, 80), "race", (1,), (256,), y)
        seen.add(tuple(y.tolist()))
    assert len(seen) > 2


@pytest.mark.parametrize("which", [0, 1])
def test_pointers_to_what_is_not_there(which: int):
    """For the array that is read, then for the one that is written."""
    machine = Machine()
    other = Machine().device.arena
    other.name = "device 1"
    freed = machine.device.arena.allocate(64, "the old array")
    machine.device.arena.free(freed)
    wrong = {
        freed: ("freed", r"at byte 0 of the old array \(64 bytes\), which was freed"),
        other.allocate(64, "an array"): ("device", r"at byte 0 of an array .* on device 1"),
        0: ("out of bounds", r"address 0x0, in no array \(a null pointer\?\)"),
        F.ctypes.data: ("out of bounds", r"address 0x[0-9a-f]+, in no array \(memory of the host"),
        2**64 - 8: ("out of bounds", "address 0xffff"),
    }
    line = line_of(COPY, "y[i] = v" if which else "v = x[i]")
    for address, (kind, words) in wrong.items():
        arguments = [F[:32].copy(), F[:32].copy(), np.int32(16)]
        arguments[which] = np.uint64(address)
        with pytest.raises(Defect, match=words) as caught:
            machine.run(compiled(COPY, 80, "copy.cu"), "copy", (1,), (32,), *arguments)
        assert str(caught.value).endswith(FIXES[kind])
        assert f" at copy.cu:{line}, thread (0, 0, 0) of block (0, 0, 0) and 15 more" in str(
            caught.value
        )


def test_every_kind_of_defect_has_its_test():
    assert set(FIXES) == {*MUTANTS, "freed", "device", "limit"}


def test_spin_locks_and_divergent_loops_end():
    lock, y = np.zeros(1, "i4"), np.zeros(1, "i4")
    Machine().run(compiled(LOCK, 80), "lock", (1,), (8,), lock, y)
    assert y[0] == 16


def test_barriers_that_count_and_vote():
    source = """
extern "C" __global__ void votes(int* y) {
  int n = __syncthreads_count(threadIdx.x % 3 == 0);
  if (__syncthreads_or(threadIdx.x == 5) && !__syncthreads_and(threadIdx.x < 60)) y[threadIdx.x] = n;
}
"""
    y = np.zeros(64, "i4")
    Machine().run(compiled(source, 80), "votes", (1,), (64,), y)
    assert (y == 22).all()


HALVES = """
extern "C" __global__ void twice(unsigned short* x, unsigned* whole) {
  int i = blockIdx.x;
  unsigned seen = whole ? whole[i / 2] : 0;
  x[i] = x[i] * 2 + (seen == 77);
}
"""


def test_blocks_may_change_one_half_of_a_word_each():
    x = np.arange(6, dtype="u2")
    Machine().run(compiled(HALVES, 80), "twice", (6,), (1,), x, np.uint64(0))
    assert x.tolist() == [0, 2, 4, 6, 8, 10]


def test_who_read_the_whole_word_races_with_a_write_to_a_half():
    source = HALVES.replace("whole ? whole", "whole ? ((unsigned*)x)")
    with pytest.raises(Defect, match=r"race between blocks at test\.cu:5"):
        Machine().run(
            compiled(source, 80), "twice", (6,), (1,), np.arange(6, dtype="u2"), np.ones(1, "u4")
        )
