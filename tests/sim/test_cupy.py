"""What gpunn needs of CuPy, on the simulated device, against NumPy."""

# ruff: noqa: E501

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpunn.sim
from gpunn.sim.testing import ensure_cuda

reason = ensure_cuda()
if reason is not None or not gpunn.sim.installed():
    pytest.skip(reason or "CuPy uses the GPU here", allow_module_level=True)

import cupy  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((7, 5, 6)).astype("f4")
ROWS = np.array([3, 1, 1, 6])


def _where(xp: Any, x: Any) -> Any:
    return xp.where(x > 0, x, -1)


def _set(xp: Any, x: Any) -> Any:
    y = x.copy()
    y[1:3, ::2] = 5
    y[y < -1] = 0
    y[xp.asarray([0, 4])] += 1
    return y


def _put(xp: Any, x: Any) -> Any:
    y = xp.zeros(9, "f4")
    xp.put(y, xp.asarray([1, 3]), xp.asarray([2.0, 4.0]))
    return y


def _scatter_add(xp: Any, x: Any) -> Any:
    y = xp.zeros((7, 6), "f4")
    xp.add.at(y, xp.asarray(ROWS), x[:4, 0])
    return y


def _in_place(xp: Any, x: Any) -> Any:
    y = x.copy()
    y *= 2
    y -= y[:1]
    return y


SWEEP = {
    "arange": lambda xp, x: xp.arange(3, 40, 4) + 1,
    "full": lambda xp, x: xp.full((3, 4), 2.5) + xp.ones(4),
    "eye": lambda xp, x: xp.eye(4, 5),
    "asfortranarray": lambda xp, x: xp.asfortranarray(x[0]).ravel("K"),
    "linspace": lambda xp, x: xp.linspace(0, 1, 7),
    "arithmetic": lambda xp, x: (x * 2 - 1) / (x * x + 1),
    "floor division": lambda xp, x: (x * 10) // 3,
    "exp and log": lambda xp, x: xp.log1p(xp.exp(x)) + xp.expm1(x / 4),
    "trigonometry": lambda xp, x: xp.sin(x) + xp.cos(x) + xp.tanh(x) + xp.arctan2(x, x + 1),
    "double": lambda xp, x: xp.sin(x.astype("f8") * 1e6) + xp.cos(x.astype("f8")),
    "powers": lambda xp, x: xp.abs(x) ** 1.5 + xp.sqrt(xp.abs(x)) + xp.cbrt(x),
    "rounding": lambda xp, x: xp.rint(x * 3) + xp.floor(x) + xp.trunc(x),
    "sum": lambda xp, x: x.sum(),
    "sum of axes": lambda xp, x: x.sum((0, 2)),
    "sum of the last": lambda xp, x: x.sum(-1, keepdims=True),
    "mean": lambda xp, x: x.mean(1),
    "var": lambda xp, x: x.var((1, 2), ddof=1),
    "max": lambda xp, x: x.max(1),
    "argmax": lambda xp, x: x.argmax(2),
    "argmin": lambda xp, x: x.argmin(),
    "prod": lambda xp, x: x.prod(0),
    "all and any": lambda xp, x: (x > -9).all(1) & (x > 2).any(1),
    "cumsum": lambda xp, x: xp.cumsum(x, 1),
    "long cumsum": lambda xp, x: xp.cumsum(xp.arange(3000)),
    "slices": lambda xp, x: x[1:6:2, ::-1, 3],
    "fancy": lambda xp, x: x[xp.asarray(ROWS), :, 2],
    "mask": lambda xp, x: x[x > 0.5],
    "take": lambda xp, x: xp.take(x, xp.asarray(ROWS), 0),
    "take along": lambda xp, x: xp.take_along_axis(x, xp.argsort(x, 1), 1),
    "put": _put,
    "set": _set,
    "in place": _in_place,
    "scatter add": _scatter_add,
    "where": _where,
    "nonzero": lambda xp, x: xp.stack(xp.nonzero(x > 1)),
    "concatenate": lambda xp, x: xp.concatenate([x, x[:2]], 0),
    "stack": lambda xp, x: xp.stack([x, x + 1], -1),
    "pad": lambda xp, x: xp.pad(x, ((0, 0), (1, 2), (3, 0))),
    "transpose": lambda xp, x: xp.ascontiguousarray(x.transpose(2, 0, 1)),
    "broadcast": lambda xp, x: xp.broadcast_to(x[0], (3, 5, 6)) + x[:3],
    "clip": lambda xp, x: xp.clip(x, -0.5, 0.5),
    "matmul": lambda xp, x: x @ x.transpose(0, 2, 1),
    "dot": lambda xp, x: x[0].dot(x[1].T),
    "tensordot": lambda xp, x: xp.tensordot(x, x, ((1, 2), (1, 2))),
    "einsum": lambda xp, x: xp.einsum("nij,nkj->nik", x, x),
    "integer matmul": lambda xp, x: x.astype("i4") @ x.astype("i4").transpose(0, 2, 1),
    "sort": lambda xp, x: xp.sort(x, 1),
    "argsort": lambda xp, x: xp.argsort(x, -1),
    "unique": lambda xp, x: xp.unique(xp.asarray([3, 1, 3, 2])),
    "bits": lambda xp, x: (xp.arange(20) << 3 ^ 0x55) & ~xp.arange(20),
    "64-bit products": lambda xp, x: xp.arange(20, dtype="u8") * np.uint64(0x9E3779B97F4A7C15),
    "complex": lambda xp, x: (x[0] + 1j * x[1]).conj() * x[2],
}


@pytest.mark.parametrize("name", SWEEP)
def test_sweep(name: str):
    function = SWEEP[name]
    expected, got = function(np, X), function(cupy, cupy.asarray(X))
    assert isinstance(got, cupy.ndarray)
    np.testing.assert_allclose(got.get(), expected, rtol=2e-5, atol=2e-5)
    assert got.dtype == expected.dtype


TYPES = ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]


@pytest.mark.parametrize("source", TYPES)
def test_casts(source: str):
    x = (np.arange(100) % 100).astype(source)
    for to in TYPES:
        np.testing.assert_array_equal(cupy.asarray(x).astype(to).get(), x.astype(to))


def test_kernels_of_the_users_own():
    x = cupy.asarray(X)
    twice = cupy.ElementwiseKernel("T a, T b", "T c", "c = a * b + 1", "fused_multiply")
    np.testing.assert_allclose(twice(x, x).get(), X * X + 1, rtol=1e-6)
    squares = cupy.ReductionKernel("T a", "T c", "a * a", "a + b", "c = a", "0", "squares")
    np.testing.assert_allclose(squares(x, axis=1).get(), (X * X).sum(1), rtol=1e-5)

    @cupy.fuse()
    def fused(a: Any) -> Any:
        return a * 2 + cupy.exp(a)

    np.testing.assert_allclose(fused(x).get(), X * 2 + np.exp(X), rtol=1e-5)
    module = cupy.RawModule(
        code='__constant__ float scale[2];\nextern "C" __global__ void k(float* y) { y[threadIdx.x] *= scale[1]; }'
    )
    pointer = module.get_global("scale")
    cupy.ndarray(2, "f4", pointer)[...] = cupy.asarray([1.0, 3.0], "f4")
    y = cupy.ones(8, "f4")
    module.get_function("k")((1,), (8,), (y,))
    assert y.tolist() == [3.0] * 8


def test_templates_and_bfloat16():
    code = """
#include <cuda_bf16.h>
template <int N> __global__ void scale(__nv_bfloat16* x) {
  x[threadIdx.x] = __hmul(x[threadIdx.x], __float2bfloat16((float)N));
}
"""
    module = cupy.RawModule(code=code, name_expressions=["scale<3>"], options=include_options())
    bits = (np.arange(8, dtype="f4").view("u4") >> 16).astype("u2")
    x = cupy.asarray(bits)
    module.get_function("scale<3>")((1,), (8,), (x,))
    np.testing.assert_array_equal((x.get().astype("u4") << 16).view("f4"), np.arange(8) * 3)


def include_options() -> tuple[str, ...]:
    from simulated import include_flags

    return include_flags()


def test_streams_events_and_memory():
    with cupy.cuda.Stream(non_blocking=True) as stream:
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        x = cupy.arange(5) * 2
        end.record()
        stream.synchronize()
        cupy.cuda.get_elapsed_time(start, end)
    assert x.tolist() == [0, 2, 4, 6, 8]
    pinned = cupy.cuda.alloc_pinned_memory(64)
    assert pinned.size() >= 64
    free, total = cupy.cuda.runtime.memGetInfo()
    assert 0 < free <= total
    assert cupy.cuda.runtime.getDeviceCount() >= 1
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
        cupy.empty(total + 1, "u1")


def test_shared_memory_beyond_48_kib_on_request():
    code = 'extern "C" __global__ void k(int* y) { extern __shared__ int s[]; s[threadIdx.x + 14000] = 7; y[threadIdx.x] = s[threadIdx.x + 14000]; }'
    kernel, y = cupy.RawKernel(code, "k"), cupy.zeros(32, "i4")
    with pytest.raises(Exception, match="shared memory over the limits"):
        kernel((1,), (32,), (y,), shared_mem=60000)
    kernel.max_dynamic_shared_size_bytes = 60000
    kernel((1,), (32,), (y,), shared_mem=60000)
    assert y.tolist() == [7] * 32
    with pytest.raises(Exception, match="sm_80 has 166912"):
        kernel.max_dynamic_shared_size_bytes = 200000


def test_what_cannot_run_is_refused_by_name():
    with pytest.raises(
        NotImplementedError, match=r"cupy\.random\.XORWOW runs machine code of cuRAND"
    ):
        cupy.random.XORWOW(3)
    with pytest.raises(Exception, match="copy of uninitialised device memory to the host"):
        cupy.empty(3).get()
    with pytest.raises(Exception, match="cudaGraphDebugDotPrint is not simulated"):
        cupy.cuda.runtime.graphDebugDotPrint(0, "x", 0)


def test_empty_arrays_may_be_written_but_not_read():
    x = cupy.empty(8, "f4")
    x[:4] = 1
    message = r"uninitialised 4-byte load at .*\n.*\n.*\n.* at byte 16 of array"
    with pytest.raises(Exception, match=message):
        _ = x + 1
    x[4:] = 2
    assert (x + 1).tolist() == [2.0] * 4 + [3.0] * 4


def test_printf(capsys: pytest.CaptureFixture[str]):
    code = 'extern "C" __global__ void say(float* x) { printf("%d: %5.2f %s\\n", threadIdx.x, x[threadIdx.x], "ok"); }'
    cupy.RawKernel(code, "say")((1,), (2,), (cupy.asarray([1.5, 2.5], "f4"),))
    assert "0:  1.50 ok\n1:  2.50 ok\n" in capsys.readouterr().out


def test_the_device_goes_on_after_a_defect():
    bad = cupy.RawKernel('extern "C" __global__ void bad(int* x) { x[threadIdx.x] = 1; }', "bad")
    x = cupy.zeros(4, "i4")
    with pytest.raises(Exception, match="bad: out-of-bounds"):
        bad((1,), (8,), (x,))
    assert (cupy.arange(4) + 1).tolist() == [1, 2, 3, 4]


INCLUDED = """#line 1 "mine.cu"
#include "part.cuh"
extern "C" __global__ void shift(const float* x, float* y) {
  float v = peek(x, threadIdx.x);
#line 100
  y[threadIdx.x + EXTRA] = v;
}
"""


def test_lines_of_included_and_renamed_files(tmp_path: Path):
    (tmp_path / "part.cuh").write_text(
        "__device__ inline float peek(const float* x, int i) {\n  return x[i + 1];\n}\n"
    )
    flags = (f"-I{tmp_path}", "-DEXTRA=0")
    shift = cupy.RawModule(code=INCLUDED, options=flags).get_function("shift")
    x, y = cupy.ones(8, "f4"), cupy.ones(9, "f4")
    with pytest.raises(Exception, match=r"load at part\.cuh:2, thread \(7") as caught:
        shift((1,), (8,), (x, y))
    lines = [line.strip() for line in str(caught.value).split("\n")]
    assert lines[1:3] == [
        "part.cuh:2: return x[i + 1];",
        "mine.cu:3: float v = peek(x, threadIdx.x);",
    ]
    shift = cupy.RawModule(code=INCLUDED, options=(flags[0], "-DEXTRA=2")).get_function("shift")
    with pytest.raises(Exception, match=r"store at mine\.cu:100.*\n  mine\.cu:100: y\[thr"):
        shift((1,), (8,), (y, y))


def test_two_kernels_of_one_name_keep_their_own_lines():
    code = 'extern "C" __global__ void same(int* x) {\n  x[threadIdx.x] = 1;\n}'
    x = cupy.zeros(4, "i4")
    first, second = (cupy.RawKernel(c, "same") for c in (code, f"\n\n{code}"))
    first((1,), (4,), (x,))
    for kernel, where in ((second, r"same-2\.cu:4"), (first, r"same\.cu:2")):
        with pytest.raises(Exception, match=rf"at {where}, .*\n  {where}: x\["):
            kernel((1,), (8,), (x,))


def test_headers_of_cuda():
    code = r"""
#include <mma.h>
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
using namespace nvcuda;
namespace cg = cooperative_groups;
extern "C" __global__ void product(const half* a, const half* b, float* c, float* total) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> x;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> y;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> z;
  wmma::fill_fragment(z, 1.f);
  wmma::load_matrix_sync(x, a, 16);
  wmma::load_matrix_sync(y, b, 16);
  wmma::mma_sync(z, x, y, z);
  float sum = 0;
  for (int i = 0; i < z.num_elements; i++) sum += z.x[i];
  wmma::store_matrix_sync(c, z, 16, wmma::mem_row_major);
  auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  sum = cg::reduce(warp, sum, cg::plus<float>());
  if (warp.thread_rank() == 0) *total = sum;
}
"""
    a, b = RNG.standard_normal((2, 16, 16)).astype("f2")
    c, total = cupy.zeros((16, 16), "f4"), cupy.zeros(1, "f4")
    kernel = cupy.RawKernel(code, "product", options=(*include_options(), "--std=c++17"))
    kernel((1,), (32,), (cupy.asarray(a), cupy.asarray(b), c, total))
    expected = a.astype("f4") @ b.astype("f4").T + 1
    np.testing.assert_allclose(c.get(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(total.get()[0], expected.sum(), rtol=1e-4)


TAKES = r"""
struct Pair { float a, b; };
extern "C" __global__ void takes(const float* x, float* y, long long n, float s, Pair p, bool add) {
  if (threadIdx.x < n) y[threadIdx.x] = x[threadIdx.x] * s + (add ? p.a : p.b);
}
"""


def test_arguments_are_held_to_the_parameters():
    takes, x, y = cupy.RawKernel(TAKES, "takes"), cupy.ones(4, "f4"), cupy.zeros(4, "f4")
    pair = np.array([(3, 4)], [("a", "f4"), ("b", "f4")])
    good = [x, y, 4, np.float32(2), pair, True]
    takes((1,), (4,), good)
    takes((1,), (4,), (*good[:2], np.int64(4), np.array([2], "f4"), pair[0], np.bool_(True)))
    takes((1,), (4,), (x.data, y.data.ptr, *good[2:]))
    assert y.tolist() == [5] * 4
    wrong = [
        (2, np.int32(4), r"argument 3 is np.int32\(4\), 4 bytes \(int32\), but .* 8 bytes \(u64\)"),
        (2, 4.0, r"argument 3 is 4.0, 8 bytes"),
        (3, 2.0, r"argument 4 is 2.0, 8 bytes \(float64\), but its parameter has 4 bytes \(f32\)"),
        (3, 2, r"argument 4 is 2, 8 bytes \(int64\)"),
        (3, x, r"argument 4 is an array, but its parameter has 4 bytes"),
        (4, np.float32(1), r"argument 5 is .* but its parameter has 8 bytes \(b8\)"),
        (5, 300, r"argument 6 is 300"),
    ]
    for place, value, message in wrong:
        with pytest.raises(TypeError, match=message):
            takes((1,), (4,), [*good[:place], value, *good[place + 1 :]])
    for some in ([], good[:5], [*good, 1]):
        with pytest.raises(TypeError, match=f"takes: {len(some)} arguments for 6 parameters"):
            takes((1,), (4,), some)


def test_handles_and_pointers_of_nothing():
    runtime = cupy.cuda.runtime
    x = cupy.ones(8, "f4")
    wrong = {
        "InvalidResourceHandle: 0x37 is no graph": lambda: runtime.graphLaunch(0x37, 0),
        "INVALID_HANDLE: 0x37000 is no module": lambda: cupy.cuda.driver.moduleGetFunction(
            0x37000, "k"
        ),
        "free of 0x7b, which is not": lambda: runtime.free(123),
        "a fill of 0x7b, which is not device": lambda: runtime.memset(123, 0, 8),
        "a copy of 8 bytes from 0x7b .* leaves": lambda: runtime.memcpy(x.data.ptr, 123, 8, 0),
        "a copy of 8 bytes .* to 0x7b leaves": lambda: runtime.memcpy(123, x.data.ptr, 8, 0),
        "begins at byte 0 of array": lambda: runtime.memset(x.data.ptr, 0, 33),
    }
    for message, call in wrong.items():
        with pytest.raises(Exception, match=message):
            call()
    pointer = runtime.malloc(100)
    runtime.free(pointer)
    with pytest.raises(runtime.CUDARuntimeError, match="which is not an allocation's start"):
        runtime.free(pointer)


def test_constants_have_bounds():
    code = r"""
__constant__ float table[4];
extern "C" __global__ void pick(float* y, int i) { y[0] = table[i]; }
"""
    kernel, y = cupy.RawKernel(code, "pick"), cupy.zeros(1, "f4")
    kernel((1,), (1,), (y, np.int32(3)))
    with pytest.raises(Exception, match="past the end of the const variable table"):
        kernel((1,), (1,), (y, np.int32(4)))


def test_variables_that_hold_addresses():
    code = r"""
__device__ float table[4] = {1, 2, 3, 4};
__device__ float* middle = table + 1;
__constant__ const char* names[2] = {"ab", "cd"};
extern "C" __global__ void follow(float* y, int* c) {
  y[threadIdx.x] = middle[threadIdx.x];
  c[threadIdx.x] = names[threadIdx.x & 1][threadIdx.x >> 1];
}
"""
    y, c = cupy.zeros(3, "f4"), cupy.zeros(3, "i4")
    cupy.RawKernel(code, "follow")((1,), (3,), (y, c))
    assert (y.tolist(), c.tolist()) == ([2, 3, 4], [97, 99, 98])
    code = r"""
typedef float (*F)(float);
__device__ float plus(float x) { return x + 1; }
__device__ F table[1] = {plus};
extern "C" __global__ void through(float* y) { y[0] = table[0](y[0]); }
"""
    with pytest.raises(Exception, match="pointers to functions are not simulated"):
        cupy.RawKernel(code, "through")((1,), (1,), (y,))


def test_random_numbers_and_transforms_are_served_on_the_host():
    random = cupy.random
    random.seed(3)
    x = random.rand(30, 2, dtype="f4")
    random.seed(3)
    assert (x == random.rand(30, 2, dtype=cupy.float32)).all()
    assert (x.dtype, float(x.min()) >= 0, float(x.max()) < 1) == (np.float32, True, True)
    y = random.permutation(9)
    random.shuffle(y)
    assert cupy.sort(y).tolist() == list(range(9))
    assert random.default_rng(1).integers(0, 5, 40).max() == 4
    assert random.RandomState(1).randn(3).tolist() == np.random.RandomState(1).randn(3).tolist()
    np.testing.assert_allclose(cupy.fft.rfft(x, axis=0).get(), np.fft.rfft(x.get(), axis=0), 1e-5)


@pytest.mark.parametrize("allocator", ["malloc_managed", "malloc_async"])
def test_other_allocators(allocator: str):
    with cupy.cuda.using_allocator(getattr(cupy.cuda, allocator)):
        assert (cupy.arange(5) + 1).tolist() == [1, 2, 3, 4, 5]


def test_questions_about_the_device_and_kernels():
    device = cupy.cuda.Device()
    assert (device.compute_capability, device.pci_bus_id) == ("80", "0000:01:00.0")
    assert cupy.cuda.Device.from_pci_bus_id("0000:01:00.0") == device
    kernel = cupy.RawKernel(
        'extern "C" __global__ void __launch_bounds__(256) k(int* x) { __shared__ int s[8]; s[threadIdx.x & 7] = 1; *x = s[0]; }',
        "k",
    )
    assert (kernel.max_threads_per_block, kernel.shared_size_bytes) == (256, 32)
    assert cupy.cuda.driver.occupancyMaxPotentialBlockSize(kernel.kernel.ptr, 0, 0) == (8, 256)
