"""What CuPy takes from libraries of machine code (cuBLAS, cuSOLVER, thrust): NumPy's, or refused.

The results of products may differ from cuBLAS's in the order of their sums.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

_LINALG = (
    "cholesky",
    "det",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
)


_PRODUCTS = ("matmul", "dot", "tensordot", "einsum", "inner", "vdot")
_CAPTURED = [getattr(np, name) for name in _PRODUCTS]  # what CUDA can capture, too


def serve(cupy: Any) -> None:
    """Replace matmul and its kin, sorting, random numbers and transforms by NumPy's."""

    def to_host(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(to_host(v) for v in value)
        return cupy.asnumpy(value) if isinstance(value, cupy.ndarray) else value

    def in_graph(
        function: Callable[..., Any], stream: Any, arguments: Any, out: Any, options: Any
    ) -> Any:
        like = [np.zeros(a.shape, a.dtype) if isinstance(a, cupy.ndarray) else a for a in arguments]
        if out is None:
            shape = np.asarray(function(*like, **options))
            out = cupy.empty(shape.shape, shape.dtype)

        def work(_: Any) -> None:
            result = function(*map(to_host, arguments), **options)
            out[...] = cupy.asarray(result).astype(out.dtype, copy=False)

        stream.launch_host_func(work, None)
        return out

    def served(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def on_host(*arguments: Any, out: Any = None, **options: Any) -> Any:
            stream = cupy.cuda.get_current_stream()
            if function in _CAPTURED and stream.is_capturing():
                return in_graph(function, stream, arguments, out, options)
            result = function(
                *map(to_host, arguments), **{k: to_host(v) for k, v in options.items()}
            )
            if isinstance(result, tuple):
                return tuple(cupy.asarray(r) for r in result)
            if out is None:
                return cupy.asarray(result)
            out[...] = cupy.asarray(result).astype(out.dtype, copy=False)
            return out

        return on_host

    for name in (*_PRODUCTS, "lexsort"):
        setattr(cupy, name, served(getattr(np, name)))
    for name in _LINALG:
        setattr(cupy.linalg, name, served(getattr(np.linalg, name)))
    array = cupy.ndarray
    array.__matmul__ = lambda a, b: cupy.matmul(a, b)
    array.__rmatmul__ = lambda a, b: cupy.matmul(b, a)
    array.dot = lambda a, b, out=None: cupy.dot(a, b, out=out)

    def sort(a: Any, axis: int = -1, kind: Any = None) -> None:
        a[...] = cupy.asarray(np.sort(cupy.asnumpy(a), axis=axis, kind="stable"))

    def partition(a: Any, kth: Any, axis: int = -1, **_: Any) -> None:
        sort(a, axis)

    def argsort(a: Any, axis: int = -1, kind: Any = None) -> Any:
        return cupy.asarray(np.argsort(cupy.asnumpy(a), axis=axis, kind="stable"))

    array.sort, array.partition = sort, partition
    array.argsort = argsort
    array.argpartition = lambda a, kth, axis=-1, **_: argsort(a, axis)
    cupy.asfortranarray = lambda a, dtype=None: cupy.asarray(a, dtype, order="F")
    _serve_random(cupy, served)
    for name in cupy.fft.__all__:
        if hasattr(np.fft, name) and "freq" not in name and "shift" not in name:
            setattr(cupy.fft, name, served(getattr(np.fft, name)))


def _serve_random(cupy: Any, served: Callable[..., Any]) -> None:
    """NumPy's generators for cuRAND's: as good, but other numbers."""

    class Drawn:
        """A generator of NumPy's, whose numbers are moved to the device."""

        def __init__(self, source: Any) -> None:
            self.source = source

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            draw = served(getattr(self.source, name))

            def drawn(*arguments: Any, dtype: Any = None, **options: Any) -> Any:
                result = draw(*arguments, **options)
                return result if dtype is None else result.astype(dtype, copy=False)

            return drawn

        def seed(self, value: Any = None) -> None:
            self.source.seed(value)

        def shuffle(self, array: Any, axis: int = 0) -> None:
            order = cupy.asarray(self.source.permutation(array.shape[axis]))
            array[...] = cupy.take(array, order, axis)

    state = Drawn(np.random.RandomState())
    for name, thing in list(vars(cupy.random).items()):
        if callable(thing) and not name.startswith("_"):
            known = hasattr(np.random.RandomState, name)
            new = getattr(state, name) if known else _refused(f"cupy.random.{name}", "cuRAND")
            setattr(cupy.random, name, new)
    cupy.random.get_random_state = lambda: state
    cupy.random.RandomState = lambda seed=None: Drawn(np.random.RandomState(seed))
    cupy.random.default_rng = lambda seed=None: Drawn(np.random.default_rng(seed))


def _refused(name: str, library: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError(
            f"{name} runs machine code of {library}, which gpunn.sim cannot; make the data with "
            "NumPy and move it: cupy.asarray(...)"
        )

    return refuse
