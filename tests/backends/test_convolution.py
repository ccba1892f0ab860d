"""Convolution on the CPU by columns against the reference, tap by tap."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from checks import compare

import gpunn
from gpunn.backends import type2backend
from gpunn.backends.base import Backend
from gpunn.backends.host import blas, convolution

HOST, REFERENCE = type2backend[np.ndarray], Backend(np)
RNG = np.random.default_rng(0)

# x, weight, stride, padding, dilation, groups
CASES: list[Any] = [
    ((5, 3, 9, 8), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),  # dx by a convolution
    ((5, 3, 9, 8), (8, 3, 3, 3), (1, 1), (0, 0), (1, 1), 1),  # dx by columns
    ((5, 3, 4, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),  # few outputs: images side by side
    ((5, 4, 11, 12), (6, 2, 3, 2), (2, 3), (2, 1), (2, 1), 2),
    ((5, 4, 9, 9), (8, 4, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((5, 4, 9, 9), (8, 4, 1, 1), (2, 2), (1, 1), (1, 1), 1),
    ((3, 2, 3, 3), (2, 2, 2, 2), (1, 1), (5, 5), (1, 1), 1),  # tiles of padding only
    ((5, 4, 20), (6, 2, 3), (2,), (1,), (2,), 2),
    ((2, 12, 10, 10), (12, 1, 3, 3), (1, 1), (1, 1), (1, 1), 12),
]


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = gpunn.get_num_threads()
    gpunn.set_num_threads(request.param)
    yield request.param
    gpunn.set_num_threads(before)


@pytest.fixture(params=["by rows", "by columns"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products by the kernel's rows wherever they can be, or nowhere."""

    def by_rows(self: Any, groups: int, o: int) -> bool:
        return request.param == "by rows" and self.sh == 1 < self.kh and not self.join

    monkeypatch.setattr(convolution._Lowering, "by_rows", by_rows)


def test_by_rows_where_copies_are_more_than_sums():
    def chosen(n: int, c: int, o: int, groups: int = 1, stride: int = 1, size: int = 32) -> bool:
        pair, out = (stride, stride), (size // stride,) * 2
        lowering = convolution._Lowering(
            (n, c, size, size), (3, 3), out, pair, (1, 1), (1, 1), np.dtype("f4"), size < 8
        )
        return lowering.by_rows(groups, o)

    assert chosen(16, 16, 16)
    assert chosen(1, 64, 64)
    assert not chosen(16, 3, 16)
    assert not chosen(16, 16, 64)
    assert not chosen(16, 64, 64, groups=64)
    assert not chosen(16, 16, 16, stride=2)
    assert not chosen(1, 16, 16, size=8)
    assert not chosen(64, 64, 64, size=4)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("tile", [1, 300, 2**20], ids=["rows", "some", "whole"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
@pytest.mark.parametrize(("x", "w", "stride", "padding", "dilation", "groups"), CASES)
def test_host_against_the_reference(
    x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int,
    dtype: str, tile: int, threads: int, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr(convolution, "_TILE", tile)
    geometry = stride, padding, dilation, groups
    x, w, b = ((RNG.normal(size=s) * 4).astype(dtype) for s in (x, w, w[:1]))
    tolerance = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-12, "int64": 0}[dtype]
    y = REFERENCE.conv(x, w, b, *geometry)
    dy = (RNG.normal(size=y.shape) * 4).astype(dtype)
    for name, args in [
        ("conv", (x, w, b)),
        ("conv", (x.swapaxes(2, -1).copy().swapaxes(2, -1), w, None)),
        ("conv_input", (dy, w, x.shape[2:])),
        ("conv_weight", (x, dy, w.shape[2:])),
    ]:
        got, expected = (getattr(b, name)(*args, *geometry) for b in (HOST, REFERENCE))
        compare(got, expected, name, tolerance, tolerance * 40)
        assert got.flags.c_contiguous


def test_threads_do_not_share_scratch_memory():
    inputs = [RNG.normal(size=(4, 8, 16, 16)).astype("f4") for _ in range(8)]
    w = RNG.normal(size=(8, 8, 3, 3)).astype("f4")

    def convolve(x: Any) -> Any:
        return [HOST.conv(x, w, None, (1, 1), (1, 1), (1, 1), 1) for _ in range(10)]

    expected = [convolve(x)[0] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for results, y in zip(pool.map(convolve, inputs), expected, strict=True):
            assert all((r == y).all() for r in results)


def test_tiles_go_to_several_threads_and_give_the_same(monkeypatch: pytest.MonkeyPatch):
    """To the last bit, however many threads there are; and BLAS has one thread meanwhile."""
    x, w = (RNG.normal(size=s).astype("f4") for s in [(32, 8, 20, 20), (8, 8, 3, 3)])
    dy = RNG.normal(size=(32, 8, 18, 18)).astype("f4")
    geometry = (1, 1), (0, 0), (1, 1), 1
    found: dict[int, list[Any]] = {}
    monkeypatch.setattr(convolution, "_TILE", 2**17)
    tiled, before = convolution.tiled, gpunn.get_num_threads()

    def watched(work: Callable[[int, int], None], n: int, tile: int) -> None:
        seen: set[int] = set()
        together = threading.Barrier(gpunn.get_num_threads())  # so that all take part

        def watching(start: int, stop: int) -> None:
            if threading.get_ident() not in seen:
                seen.add(threading.get_ident())
                together.wait(20)
            assert [lib.get_num_threads() for lib in blas.single.libraries or ()] == [
                1 for _ in blas.single.before
            ]
            work(start, stop)

        tiled(watching, n, tile)
        assert len(seen) == gpunn.get_num_threads()

    monkeypatch.setattr(convolution, "tiled", watched)
    for threads in (1, 2, 3):
        gpunn.set_num_threads(threads)
        found[threads] = [
            HOST.conv(x, w, None, *geometry),
            HOST.conv_input(dy, w, (20, 20), *geometry),
            HOST.conv_weight(x, dy, (3, 3), *geometry),
        ]
    gpunn.set_num_threads(before)
    for threads in (2, 3):
        for a, b in zip(found[1], found[threads], strict=True):
            compare(a, b, f"with {threads} threads", 0, 0)


def test_the_threads_of_blas_come_back():
    with blas.single:
        libraries, before = blas.single.libraries or [], blas.single.before
        with blas.single, ThreadPoolExecutor(4) as pool:
            for _ in pool.map(lambda _: blas.single.__enter__(), range(4)):
                assert all(lib.get_num_threads() == 1 for lib in libraries)
            for _ in range(4):
                blas.single.__exit__()
        assert all(lib.get_num_threads() == 1 for lib in libraries)
    assert [lib.get_num_threads() for lib in libraries] == before
    with pytest.raises(KeyError), blas.single:
        raise KeyError
    assert [lib.get_num_threads() for lib in libraries] == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_inside_convolves():
    x, w = (RNG.normal(size=s).astype("f4") for s in [(64, 8, 20, 20), (8, 8, 3, 3)])
    y = HOST.conv(x, w, None, (1, 1), (0, 0), (1, 1), 1)
    with blas.single:
        child = os.fork()
        if not child:
            try:
                same = (HOST.conv(x, w, None, (1, 1), (0, 0), (1, 1), 1) == y).all()
                os._exit(0 if same and not blas.single.inside else 1)
            finally:
                os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
