"""Whether operations are recorded: thread-local switches, as context managers and decorators."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import numpy

P = ParamSpec("P")
R = TypeVar("R")


class _State(threading.local):
    enabled = True  # are operations recorded?
    inference = False
    anomaly = False  # refuse gradients that are not finite?
    tracing = False  # note the lines of forward calls?
    quiet = False  # are NumPy's floating-point warnings already off?


state = _State()


class _Switch:
    """Sets ``state`` on entry, restores it on exit; usable as a decorator, of generators too."""

    def __init__(self) -> None:
        self._previous: list[bool] = []

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function):
            return self._of_generator(function)

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._copy():
                return function(*args, **kwargs)

        return wrapped

    def _of_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The switch acts while the generator runs, not while its caller does."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            generator = function(*args, **kwargs)
            proceed: Callable[[], Any] = functools.partial(next, generator)
            while True:
                try:
                    with self._copy():
                        value = proceed()
                except StopIteration as stop:
                    return stop.value
                try:
                    sent = yield value
                    proceed = functools.partial(generator.send, sent)
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:
                    proceed = functools.partial(generator.throw, error)

        return wrapped

    def _copy(self) -> Self:
        return type(self)()

    def _value(self) -> bool:
        raise NotImplementedError

    def __enter__(self) -> None:
        self._previous.append(state.enabled)
        state.enabled = self._value()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state.enabled = self._previous.pop()


class _PlainSwitch(_Switch):
    """A switch without arguments: ``@no_grad`` decorates as ``@no_grad()`` does."""

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        super().__init__()

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        switch = super().__new__(cls)
        if function is None:
            return switch
        switch.__init__()
        return switch(function)


class no_grad(_PlainSwitch):  # noqa: N801
    """Record nothing inside: results do not require gradients."""

    def _value(self) -> bool:
        return False


class enable_grad(_PlainSwitch):  # noqa: N801
    """Record inside, also within ``no_grad``."""

    def _value(self) -> bool:
        return True


class set_grad_enabled(_Switch):  # noqa: N801
    """Record or not, by ``mode``; acts at once, and as a context manager undoes it on exit."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._mode = bool(mode)
        self._before = state.enabled
        state.enabled = self._mode

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        state.enabled = self._before  # as a decorator it acts when the function runs
        return super().__call__(function)

    def _copy(self) -> Self:
        return type(self)(self._mode)

    def __enter__(self) -> None:
        self._previous.append(self._before)
        state.enabled = self._mode

    def _value(self) -> bool:
        return self._mode


class inference_mode(_Switch):  # noqa: N801
    """As ``no_grad``, which it is here; ``is_inference_mode_enabled()`` tells them apart."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._mode = mode
        self._outer: list[bool] = []

    def _copy(self) -> Self:
        return type(self)(self._mode)

    def _value(self) -> bool:
        return state.enabled and not self._mode

    def __enter__(self) -> None:
        self._outer.append(state.inference)
        super().__enter__()
        state.inference = self._mode

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        state.inference = self._outer.pop()


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded."""
    return state.enabled


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside ``inference_mode``."""
    return state.inference


class set_detect_anomaly:  # noqa: N801
    """Anomaly mode on or off; acts at once, and as a context manager undoes it on exit."""

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self._before = state.tracing, state.anomaly
        state.tracing, state.anomaly = mode, mode and check_nan

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state.tracing, state.anomaly = self._before


class detect_anomaly(set_detect_anomaly):  # noqa: N801
    """Inside, a backward whose gradient is not finite raises, naming the op and its forward call.

    Any other error of a backward names the forward call too. The forward pass must run inside as
    well, so that its traceback is known. ``check_nan=False`` looks at no values.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        super().__init__(check_nan=self._check_nan)


class quiet:  # noqa: N801
    """NumPy's floating-point warnings off: like PyTorch, log(0) is -inf without a word.

    Entering ``numpy.errstate`` costs as much as a small operation, so only the outermost does.
    """

    __slots__ = ("_errstate",)

    def __enter__(self) -> None:
        self._errstate = None
        if not state.quiet:
            self._errstate = numpy.errstate(all="ignore")
            self._errstate.__enter__()
            state.quiet = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._errstate is not None:
            state.quiet = False
            self._errstate.__exit__(kind, error, trace)
