"""The launcher: nothing reaches a kernel that its signature does not allow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpunn.backends import sources
from gpunn.backends.signature import Parameter, signatures

SOURCE = """#include "scalar.cuh"
// extern "C" __global__ void not_a_kernel(int a) {}
struct Shift { int by; int unused; };

extern "C" __global__ void __launch_bounds__(128)
    scale(const SCALAR* __restrict__ x, SCALAR* __restrict__ y, long long n, float alpha) {
    for (long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) * WIDTH; i < n;
         i += (long long)gridDim.x * blockDim.x * WIDTH) {
#if WIDTH > 1
        if (i + WIDTH <= n) {
            Pack p = *(const Pack*)(x + i);
            for (int k = 0; k < WIDTH; k++) p.v[k] = SCALAR(ACCUM(p.v[k]) * alpha);
            *(Pack*)(y + i) = p;
            continue;
        }
#endif
        for (long long k = i; k < i + WIDTH && k < n; k++) y[k] = SCALAR(ACCUM(x[k]) * alpha);
    }
}

/* Every other kind of parameter. */
extern "C" __global__ void kinds(const SCALAR *x, unsigned char small, bool yes, double d,
                                 unsigned long long big, const int* maybe, Shift shift,
                                 SCALAR* const* tables, double* out) {
    out[0] = small;
    out[1] = yes;
    out[2] = d;
    out[3] = (double)big;
    out[4] = maybe == nullptr;
    out[5] = shift.by;
    out[6] = tables[1][0];
}
extern "C" __global__ void large(float* y) {
    extern __shared__ float room[];
    room[threadIdx.x + 20000] = threadIdx.x;
    __syncthreads();
    y[threadIdx.x] = room[20000 + blockDim.x - 1 - threadIdx.x];
}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of CUDA sources of the test's own."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    shutil.copy(sources.folder() / "scalar.cuh", folder)
    (folder / "test.cu").write_text(SOURCE)
    monkeypatch.setattr(sources, "folder", lambda: folder)
    monkeypatch.setattr(sources, "files", {})
    monkeypatch.setattr(sources, "replacements", {})
    return folder


@pytest.fixture
def source(place: Path, cuda: Any) -> Any:
    from gpunn.backends.launcher import Source, builds

    kinds = ("float32", "float64", "float16", "bfloat16")
    return Source(
        "test.cu", builds(SCALAR=kinds, WIDTH=(1, 4)), builds(since=999, SCALAR=("int32",))
    )


def arrays(cuda: Any, n: int, dtype: Any = "f4") -> tuple[Any, Any]:
    return cuda.xp.arange(n).astype(dtype), cuda.xp.empty(n, dtype)


def test_signatures_are_read_from_the_source() -> None:
    found = signatures(SOURCE)
    assert list(found) == ["scale", "kinds", "large"]
    assert found["scale"] == (
        Parameter("x", "SCALAR", 1),
        Parameter("y", "SCALAR", 1),
        Parameter("n", "long long", 0),
        Parameter("alpha", "float", 0),
    )
    assert [str(p) for p in found["kinds"]] == [
        *("SCALAR*", "unsigned char", "bool", "double", "unsigned long long", "int*", "Shift"),
        *("SCALAR**", "double*"),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("n", [1, 31, 128, 515])
def test_a_kernel_runs_in_every_build(cuda: Any, source: Any, dtype: str, n: int) -> None:
    from gpunn.backends.launcher import recorded, width
    from gpunn.backends.signature import element_type

    x, y = arrays(cuda, n, element_type(dtype))
    assert width(4, x, y) == 4
    assert width(4, x[1:], y) == 1
    for wide in (1, 4):
        with recorded() as names:
            source("scale", SCALAR=x.dtype, WIDTH=wide)((2,), (64,), x, y, n, 0.5)
        assert names == ["scale"]
        expected = (np.arange(n).astype(x.dtype).astype(np.float64) * 0.5).astype(x.dtype)
        assert cuda.to_numpy(y).tolist() == expected.tolist()


def test_every_kind_of_parameter(cuda: Any, source: Any) -> None:
    x, _ = arrays(cuda, 4)
    tables = cuda.xp.array([x.data.ptr, (x[3:]).data.ptr], "u8")
    out = cuda.xp.empty(7)
    shift = np.array([(5, 0)], [("by", "i4"), ("unused", "i4")])[0]
    kernel = source("kinds", SCALAR=x.dtype, WIDTH=1)
    kernel((1,), (1,), x, 200, True, 3, 2**63, None, shift, tables, out)
    assert out.tolist() == [200, 1, 3, 2.0**63, 1, 5, 3]


def test_more_shared_memory_than_the_default(cuda: Any, source: Any) -> None:
    y = cuda.xp.empty(32, "f4")
    source("large", SCALAR="float32", WIDTH=1)((1,), (32,), y, shared=4 * 20032)
    assert y.tolist() == list(range(31, -1, -1))


def test_an_empty_grid_launches_nothing(cuda: Any, source: Any) -> None:
    from gpunn.backends.launcher import recorded

    x, y = arrays(cuda, 0)
    with recorded() as names:
        source("scale", SCALAR=x.dtype, WIDTH=4)((0,), (64,), x, y, 0, 0.5)
        source("scale", SCALAR=x.dtype, WIDTH=4)((1, 0), (64,), x, y, 0, 0.5)
    assert names == []


REFUSED: dict[str, tuple[type[Exception], str, Any]] = {
    "a double array for a float": (
        TypeError,
        'scale(): parameter 4 "alpha" is float, got float64 array',
        lambda x, y, xp: (x, y, 8, xp.ones(1)),
    ),
    "a NumPy array": (
        TypeError,
        'scale(): parameter 1 "x" is SCALAR*, got float32 NumPy array',
        lambda x, y, xp: (np.ones(8, "f4"), y, 8, 0.5),
    ),
    "another dtype": (
        TypeError,
        'scale(): parameter 2 "y" is SCALAR* (float32), got float64 array',
        lambda x, y, xp: (x, x.astype("f8"), 8, 0.5),
    ),
    "too few": (
        TypeError,
        "scale(): expected 4 arguments (SCALAR* x, SCALAR* y, long long n, float alpha), got 3",
        lambda x, y, xp: (x, y, 8),
    ),
    "a float for an integer": (
        TypeError,
        'scale(): parameter 3 "n" is long long, got float 8.0',
        lambda x, y, xp: (x, y, 8.0, 0.5),
    ),
    "an integer too large": (
        ValueError,
        'scale(): parameter 3 "n" is long long, got 9223372036854775808, which is outside',
        lambda x, y, xp: (x, y, 2**63, 0.5),
    ),
    "no number": (
        TypeError,
        "scale(): parameter 4 \"alpha\" is float, got str '1'",
        lambda x, y, xp: (x, y, 8, "1"),
    ),
    "strides": (
        ValueError,
        'scale(): parameter 1 "x" is SCALAR*, got an array of shape (4,) with strides (8,), which '
        "is not contiguous",
        lambda x, y, xp: (x[::2], y, 4, 0.5),
    ),
    "a misaligned view": (
        ValueError,
        'scale(): parameter 2 "y" is SCALAR*, got an array at an address that is no multiple of 16',
        lambda x, y, xp: (x, y[1:], 4, 0.5),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_arguments_are_refused_before_anything_runs(
    cuda: Any, source: Any, case: str
) -> None:
    from gpunn.backends.launcher import recorded

    error, text, arguments = REFUSED[case]
    x, y = arrays(cuda, 8)
    with recorded() as names, pytest.raises(error) as caught:
        source("scale", SCALAR=x.dtype, WIDTH=4)((1,), (64,), *arguments(x, y, cuda.xp))
    assert str(caught.value).startswith(text)
    assert names == []


@pytest.mark.parametrize("grid", [(2**31,), (1, 65536), (1, 1, 65536)])
def test_grids_over_the_limits_are_refused(cuda: Any, source: Any, grid: tuple[int, ...]) -> None:
    x, y = arrays(cuda, 8)
    with pytest.raises(ValueError, match=r"scale\(\): a grid of .* is over the limits"):
        source("scale", SCALAR=x.dtype, WIDTH=1)(grid, (64,), x, y, 8, 0.5)


@pytest.mark.parametrize(
    ("grid", "block", "shared"), [((-1,), (64,), 0), ((1,), (0,), 0), ((1,), (64,), -1)]
)
def test_extents_are_positive(
    cuda: Any, source: Any, grid: tuple[int, ...], block: tuple[int, ...], shared: int
) -> None:
    x, y = arrays(cuda, 8)
    with pytest.raises(ValueError, match=r"scale\(\): expected positive extents, got grid="):
        source("scale", SCALAR=x.dtype, WIDTH=1)(grid, block, x, y, 8, 0.5, shared=shared)


def test_only_declared_builds_are_launched(cuda: Any, source: Any) -> None:
    with pytest.raises(ValueError, match=r"test.cu has no build with .*SCALAR=short.*; it has: "):
        source("scale", SCALAR="int16", WIDTH=1)
    with pytest.raises(
        RuntimeError, match=r"needs a device of compute capability 99.9, but cuda:0"
    ):
        source("scale", SCALAR="int32")
    with pytest.raises(TypeError, match="a macro is an integer or one of the dtypes"):
        source("scale", SCALAR="complex64")


def test_unknown_kernels_are_refused_by_name(cuda: Any, source: Any) -> None:
    with pytest.raises(KeyError, match=r"test.cu has no kernel 'scales'; it has: scale, kinds"):
        source("scales", SCALAR="float32", WIDTH=1)


def test_a_build_is_compiled_once(cuda: Any, source: Any) -> None:
    first = source("scale", SCALAR=np.dtype("f4"), WIDTH=1)
    assert source("scale", SCALAR=np.dtype("f4"), WIDTH=1) is first
    assert source("scale", SCALAR=np.dtype("f8"), WIDTH=1) is not first


def test_a_change_of_any_source_changes_the_options(place: Path) -> None:
    sources.fingerprint.cache_clear()
    before = sources.options(())
    (place / "scalar.cuh").write_text((place / "scalar.cuh").read_text() + "// changed\n")
    sources.fingerprint.cache_clear()
    after = sources.options(())
    sources.fingerprint.cache_clear()
    assert before != after


def test_a_kernel_is_overridden_and_restored(cuda: Any, source: Any, tmp_path: Path) -> None:
    mine = tmp_path / "mine.cu"
    mine.write_text(SOURCE.replace("* alpha", "* alpha + ACCUM(1)").replace("alpha", "beta"))
    x, y = arrays(cuda, 8)

    def launched() -> float:
        source("scale", SCALAR=x.dtype, WIDTH=1)((1,), (64,), x, y, 8, 0.5)
        return float(y[2])

    assert launched() == 1
    with sources.override("scale", mine):
        assert launched() == 2
    assert launched() == 1
    mine.write_text(mine.read_text().replace("ACCUM(1)", "ACCUM(5)"))  # worked on further
    with sources.override("scale", mine):
        assert launched() == 6
    assert launched() == 1


def test_an_override_must_have_the_signature(place: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.cu"
    mine.write_text(SOURCE.replace("float alpha", "double alpha"))
    with pytest.raises(
        TypeError, match=r"scale\(\): the parameters in mine.cu differ from gpunn's"
    ):
        sources.override("scale", mine)
    with pytest.raises(
        KeyError, match=r"there is no kernel 'scales'; there are: kinds, large, scale"
    ):
        sources.override("scales", mine)
    mine.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"mine.cu is no CUDA source: it is not UTF-8"):
        sources.override("scale", mine)
    mine.write_text("// nothing")
    with pytest.raises(TypeError, match=r"mine.cu has no kernel 'scale'; declare it as extern"):
        sources.override("scale", mine)
    assert sources.replacements == {}
