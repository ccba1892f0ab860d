"""Arrays themselves: making, copying, moving, scattering; where a device's backend begins."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy

from gpunn.device import device
from gpunn.dtype import accumulator

_CPU, _NOTHING = device("cpu"), contextlib.nullcontext()  # made once: every operation asks


class ArrayPrimitives:
    """What every backend says of its arrays. ``xp`` is the array module."""

    name: ClassVar[str] = "cpu"

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def device(self, array: Any) -> device:
        """The device that holds ``array``."""
        return _CPU

    def on(self, where: device) -> AbstractContextManager[Any]:
        """New arrays made inside lie on ``where``."""
        return _NOTHING

    def beside(self, array: Any) -> AbstractContextManager[Any]:
        """Work inside runs where ``array`` lies."""
        return _NOTHING

    def on_device_of(self, function: type, args: tuple[Any, ...]) -> AbstractContextManager[Any]:
        """Work inside runs where the tensors among ``args`` lie, which must be one device."""
        return _NOTHING

    def current(self) -> device:
        """The device that this backend's name alone means."""
        return _CPU

    def to_numpy(self, array: Any, non_blocking: bool = False) -> numpy.ndarray[Any, Any]:
        """``array`` in host memory; the CPU's own is returned as it is.

        With ``non_blocking`` the copy may be under way still: synchronize before it is read.
        """
        return array

    def from_numpy(self, array: numpy.ndarray[Any, Any], non_blocking: bool = False) -> Any:
        """A host array on this backend's current device; on the CPU, the same memory.

        With ``non_blocking`` a copy from page-locked memory may be under way still.
        """
        return array

    def pinned_copy(self, array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        """A copy in page-locked host memory, which only a device's backend can make."""
        raise NotImplementedError(f"the {self.name} backend has no page-locked memory")

    def constant(self, array: numpy.ndarray[Any, Any]) -> Any:
        """As ``from_numpy``, of values that never change, also while a CUDA graph captures."""
        return self.from_numpy(array)

    def from_other_device(self, array: Any) -> Any:
        """An array of this backend on its current device."""
        return array

    def item(self, array: Any) -> Any:
        """The one element as a Python number."""
        return array.item()

    def synchronize(self) -> None:
        """Wait until all work is done."""

    def record_stream(self, array: Any, stream: Any) -> None:
        """Keep the memory until the work of ``stream``, at the time the array is dropped, is done.

        Only devices have streams: RuntimeError.
        """
        raise RuntimeError(f"record_stream() is for CUDA tensors, but got one on {self.name}")

    def capturing(self) -> bool:
        """Whether work is captured in a CUDA graph, and not done."""
        return False

    def before_replays(self, function: Callable[[], None]) -> None:
        """Call ``function`` before each replay of the CUDA graph that captures, if one does.

        It shall do what Python does for the work captured last, such as count; kernels that take
        numbers by `renewable` then find the new ones, and are not launched by it. RuntimeError if
        no kernel does.
        """

    def copy(self, array: Any) -> Any:
        """A contiguous copy."""
        return self.xp.array(array, order="C", copy=True)

    def zeros_like(self, array: Any) -> Any:
        """Contiguous zeros of the same shape and dtype."""
        return self.xp.zeros(array.shape, array.dtype)

    def ones_like(self, array: Any) -> Any:
        """Contiguous ones of the same shape and dtype."""
        return self.xp.ones(array.shape, array.dtype)

    def masked(self, x: Any, mask: Any) -> Any:
        """``x`` where ``mask``, else exactly 0, also for NaN and infinity."""
        return self.xp.where(mask, x, x.dtype.type(0)).astype(x.dtype, copy=False)

    def where(self, mask: Any, x: Any, y: Any) -> Any:
        """``x`` where ``mask``, else ``y``; the three broadcast."""
        return self.xp.where(mask, x, y)

    def view_of(self, array: Any, view: Any) -> Any:
        """``view``, which shows ``array``, as writable as ``array`` is."""
        return view

    def matmul(self, x: Any, y: Any) -> Any:
        """``x @ y`` of arrays with two or more dimensions and one dtype."""
        return self.xp.matmul(x, y)

    def sum_over(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Σ x over ``axes``, which stay with size 1."""
        return x.sum(axes, keepdims=True)

    def dot_over(self, x: Any, y: Any, axes: tuple[int, ...]) -> Any:
        """Σ x y over ``axes``, which stay with size 1."""
        return (x * y).sum(axes, keepdims=True)

    def special(self, name: str) -> Any:
        """A special function of SciPy (or of CuPy's copy of it), imported at first use."""
        import scipy.special  # pyright: ignore[reportMissingTypeStubs]  (SciPy has none)

        return getattr(scipy.special, name)

    def index_add(self, target: Any, index: Any, source: Any) -> None:
        """``target[index] += source``, duplicates added one by one, in order: deterministic.

        ``index`` is any NumPy index. Elements that share a target are added in rounds, the k-th
        duplicate of each in round k, so no two writes of a round meet; 16-bit floats in float32.
        """
        xp = self.xp
        places = xp.arange(target.size).reshape(target.shape)[index]
        values = xp.broadcast_to(source, places.shape).ravel()
        places = places.ravel()
        if places.size == 0:
            return
        order = xp.argsort(places, kind="stable")
        places, values = places[order], values[order]
        position = xp.arange(places.size)
        starts = xp.concatenate([xp.ones(1, bool), places[1:] != places[:-1]])
        # The rank of each element among its duplicates: how far it is from the first of them.
        rank = position - position[starts][xp.cumsum(starts) - 1]
        flat = target.reshape(-1).astype(accumulator(target.dtype), copy=False)
        for k in range(int(rank.max()) + 1):
            now = rank == k
            flat[places[now]] += values[now]
        if flat.dtype != target.dtype or not target.flags.c_contiguous:
            target[...] = flat.reshape(target.shape)
