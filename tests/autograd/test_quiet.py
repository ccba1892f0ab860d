"""NumPy's warnings: off in gpunn, as they were outside of it."""

from __future__ import annotations

import warnings

import numpy
import pytest

import gpunn
from gpunn.autograd import quiet


def test_the_fast_way_is_found_in_this_numpy():
    assert not isinstance(quiet.errors.__self__, quiet._Errstate)


def test_operations_neither_warn_nor_raise_and_leave_the_setting_alone():
    x = gpunn.tensor([0.0, 3e38], requires_grad=True)
    with numpy.errstate(divide="raise", over="raise"):
        before = numpy.geterr()
        y = (x.log() + x * 10 + 1 / x).sum()
        y.backward()
        assert numpy.geterr() == before
        with pytest.raises(FloatingPointError):
            numpy.log(numpy.zeros(1))
    assert y.item() == -numpy.inf or numpy.isnan(y.item())


def test_the_setting_is_restored_after_an_error():
    before = numpy.geterr()
    with pytest.raises(RuntimeError, match="must match the size"):
        gpunn.ones(2) + gpunn.ones(3)
    assert numpy.geterr() == before


def test_each_thread_has_its_own():
    import threading

    found = []

    def work() -> None:
        with warnings.catch_warnings(), numpy.errstate(all="raise"):
            warnings.simplefilter("error")
            found.append(gpunn.zeros(1).log().item())
            found.append(numpy.geterr()["divide"])

    thread = threading.Thread(target=work)
    with quiet.quiet():
        thread.start()
        thread.join()
    assert found == [-numpy.inf, "raise"]


def test_without_a_context_variable_errstate_does_the_same():
    switch = quiet._Errstate()
    assert switch.get() is not quiet.IGNORED
    before = numpy.geterr()
    token = switch.set(quiet.IGNORED)
    assert set(numpy.geterr().values()) == {"ignore"}
    inner = switch.set(quiet.IGNORED)
    switch.reset(inner)
    assert set(numpy.geterr().values()) == {"ignore"}
    switch.reset(token)
    assert numpy.geterr() == before
