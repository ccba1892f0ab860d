"""Tiles go to several threads, each once; errors, forks and nesting do no harm."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gpunn
from gpunn.backends import type2backend
from gpunn.backends.host import blas, reduction, threads


@pytest.fixture(autouse=True, params=[1, 3])
def number(request: pytest.FixtureRequest) -> Iterator[int]:
    before = gpunn.get_num_threads()
    gpunn.set_num_threads(request.param)
    yield request.param
    gpunn.set_num_threads(before)


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 95])
def test_every_part_once(n: int):
    parts: list[tuple[int, int]] = []
    threads.tiled(lambda start, stop: parts.append((start, stop)), n, 10)
    assert sorted(parts) == [(i, min(i + 10, n)) for i in range(0, n, 10)]


def test_threads_work_side_by_side(number: int):
    together = threading.Barrier(number)  # passed only if all of them work at once
    threads.tiled(lambda start, stop: together.wait(20) and None, number, 1)


def test_a_tile_is_not_split_again():
    found: list[threading.Thread] = []

    def work(start: int, stop: int) -> None:
        me = threading.current_thread()
        threads.tiled(lambda a, b: found.append(threading.current_thread()) or None, 4, 1)
        assert found.count(me) >= 4

    threads.tiled(work, 6, 1)
    assert len(found) == 24


def test_an_error_reaches_the_caller_and_harms_nothing():
    def work(start: int, stop: int) -> None:
        if start == 5:
            raise KeyError("tile 5")

    with pytest.raises(KeyError, match="tile 5"):
        threads.tiled(work, 8, 1)
    test_every_part_once(95)


def test_no_warnings_from_threads():
    """As everywhere in gpunn: what overflows is infinite, and nothing is said."""
    x = gpunn.full((2**19,), 1e30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bool((gpunn.nn.functional.gelu(x * x) == np.inf).all())


def test_many_callers():
    sums = np.zeros(8)

    def caller(i: int) -> None:
        got = np.zeros(100)
        for _ in range(20):

            def work(start: int, stop: int) -> None:
                got[start:stop] += 1

            threads.tiled(work, 100, 7)
        sums[i] = got.sum()

    callers = [threading.Thread(target=caller, args=(i,)) for i in range(8)]
    for c in callers:
        c.start()
    for c in callers:
        c.join()
    assert (sums == 2000).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(number: int):
    test_threads_work_side_by_side(number)
    child = os.fork()
    if not child:
        try:
            test_threads_work_side_by_side(number)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_no_thread_before_there_is_work():
    code = "import threading, gpunn; gpunn.rand(10).exp(); print(threading.active_count())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "1\n"


def test_wrong_numbers():
    with pytest.raises(RuntimeError, match="set_num_threads expects a positive integer"):
        gpunn.set_num_threads(0)


@pytest.mark.parametrize(("wanted", "got"), [("3", 3), ("0", None), ("two", None), ("", None)])
def test_the_default(monkeypatch: pytest.MonkeyPatch, wanted: str, got: int | None):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = threads._available()
    assert 1 <= cores <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert threads._available() == (got or cores)


def test_small_products_leave_the_other_cores_alone(monkeypatch: pytest.MonkeyPatch):
    """BLAS has one thread for them, and its own number for large ones and afterwards."""
    host, numbers = type2backend[np.ndarray], []
    with blas.single:
        pass  # finds the libraries
    libraries = blas.single.libraries or []
    real = reduction._product

    def watched(x: Any, y: Any) -> Any:
        numbers.append([library.get_num_threads() for library in libraries])
        return real(x, y)

    before = [library.get_num_threads() for library in libraries]
    monkeypatch.setattr(reduction, "_product", watched)
    for n in (8, 100, 300):
        x = np.ones((n, n), "f4")
        assert (host.matmul(x, x) == n).all()
    assert numbers == [before, [1] * len(before), before]
    assert [library.get_num_threads() for library in libraries] == before


@pytest.mark.parametrize("number", [0, 1.5, "2", True])
def test_a_number_of_threads_is_a_positive_int(number: Any):
    with pytest.raises(RuntimeError, match="set_num_threads expects"):
        gpunn.set_num_threads(number)
