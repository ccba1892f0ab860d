"""Whether operations are recorded: thread-local switches, as context managers and decorators."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Mode:
    """The switches of one thread."""

    __slots__ = ("anomaly", "enabled", "inference", "tracing")

    def __init__(self) -> None:
        self.enabled = True  # are operations recorded?
        self.inference = False
        self.anomaly = False  # refuse gradients that are not finite?
        self.tracing = False  # note the lines of forward calls?


class _Thread(threading.local):
    def __init__(self) -> None:
        self.mode = Mode()


thread = _Thread()  # looked up once in an operation: it takes longer than what it leads to


class _Switch:
    """Sets a mode on entry, restores it on exit; usable as a decorator, of generators too."""

    _outer: Any = None  # what was set at the last entry, and at those before

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
        mode = thread.mode
        self._outer = mode.enabled, self._outer
        mode.enabled = self._value()

    def __exit__(self, *_: object) -> None:
        thread.mode.enabled, self._outer = self._outer


class _PlainSwitch(_Switch):
    """A switch without arguments: ``@no_grad`` decorates as ``@no_grad()`` does."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        switch = object.__new__(cls)
        return switch if function is None else switch(function)


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
        self._mode = bool(mode)
        self._before = thread.mode.enabled
        thread.mode.enabled = self._mode

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        thread.mode.enabled = self._before  # as a decorator it acts when the function runs
        return super().__call__(function)

    def _copy(self) -> Self:
        return type(self)(self._mode)

    def __enter__(self) -> None:
        self._outer = self._before, self._outer
        thread.mode.enabled = self._mode

    def _value(self) -> bool:
        return self._mode


class inference_mode(_Switch):  # noqa: N801
    """As ``no_grad``, which it is here; ``is_inference_mode_enabled()`` tells them apart."""

    _inferred: Any = None

    def __init__(self, mode: bool = True) -> None:
        self._mode = mode

    def _copy(self) -> Self:
        return type(self)(self._mode)

    def _value(self) -> bool:
        return thread.mode.enabled and not self._mode

    def __enter__(self) -> None:
        self._inferred = thread.mode.inference, self._inferred
        super().__enter__()
        thread.mode.inference = self._mode

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        thread.mode.inference, self._inferred = self._inferred


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded."""
    return thread.mode.enabled


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside ``inference_mode``."""
    return thread.mode.inference


class set_detect_anomaly:  # noqa: N801
    """Anomaly mode on or off; acts at once, and as a context manager undoes it on exit."""

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        switches = thread.mode
        self._before = switches.tracing, switches.anomaly
        switches.tracing, switches.anomaly = mode, mode and check_nan

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        thread.mode.tracing, thread.mode.anomaly = self._before


class detect_anomaly(set_detect_anomaly):  # noqa: N801
    """Inside, a backward whose gradient is not finite raises, naming the op and its forward call.

    Any other error of a backward names the forward call too. The forward pass must run inside as
    well, so that its traceback is known. ``check_nan=False`` looks at no values.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        super().__init__(check_nan=self._check_nan)
