"""``GradScaler``: a loss times a large number, so that float16 gradients do not vanish."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from gpunn.autograd.grad_mode import no_grad
from gpunn.autograd.variable import wrap
from gpunn.backends import cuda_problem
from gpunn.creation import full
from gpunn.dtype import float16, float32, int32
from gpunn.ops.choice import where
from gpunn.tensor import Tensor

if TYPE_CHECKING:
    from gpunn.device import device as Device

_READY, _UNSCALED, _STEPPED = range(3)


class _Progress:
    """What was done with one optimizer since the last ``update``."""

    def __init__(self) -> None:
        self.stage = _READY
        self.found_inf: dict[Device, Tensor] = {}


class GradScaler:
    """Scale the loss, unscale the gradients, skip steps whose gradients are not finite.

    ``scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()``. The scale begins at
    ``init_scale``; it is multiplied by ``backoff_factor`` where a gradient was infinite or NaN, and
    by ``growth_factor`` after ``growth_interval`` good steps in a row. One number comes from the
    device at each step: whether all gradients were finite.

    P. Micikevicius et al., "Mixed precision training", 2018. As ``torch.amp.GradScaler``.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        if enabled and device == "cuda" and cuda_problem() is not None:
            warnings.warn(
                "gpunn.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
            enabled = False
        if enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._enabled = enabled
        self._init_scale, self._init_growth_tracker = init_scale, 0
        # Made at the first scale(), on the device of the outputs.
        self._scale: Tensor | None = None
        self._growth_tracker: Tensor | None = None
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        self._progress: defaultdict[int, _Progress] = defaultdict(_Progress)

    # A step --------------------------------------------------------------------------------

    def scale(self, outputs: Any) -> Any:
        """``outputs``, a tensor or an iterable of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._scale = full((), self._init_scale, dtype=float32, device=outputs.device)
                self._growth_tracker = full(
                    (), self._init_growth_tracker, dtype=int32, device=outputs.device
                )
            return outputs * self._scale.to(outputs.device)
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, cast("Iterable[Any]", outputs))
            if isinstance(outputs, tuple):
                return tuple(scaled)
            return list(scaled) if isinstance(outputs, list) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of ``optimizer``'s parameters by the scale, once before its step.

        Needed only to see true gradients before ``step``, which does it else: to clip them.
        """
        if not self._enabled:
            return
        scale, _ = self._state("unscale_")
        progress = self._progress[id(optimizer)]
        if progress.stage == _UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if progress.stage == _STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        with no_grad():
            progress.found_inf = _unscale(optimizer, scale.double().reciprocal().float())
        progress.stage = _UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(...)`` with unscaled gradients, unless one of them is not finite."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._state("step")
        progress = self._progress[id(optimizer)]
        if progress.stage == _STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if progress.stage == _READY:
            self.unscale_(optimizer)
        if not progress.found_inf:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        finite = not any(found.item() for found in progress.found_inf.values())
        result = optimizer.step(*args, **kwargs) if finite else None
        progress.stage = _STEPPED
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale to what the steps since the last ``update`` have found; or set it."""
        if not self._enabled:
            return
        scale, tracker = self._state("update")
        with no_grad():
            if new_scale is None:
                self._adapt(scale, tracker)
            elif isinstance(new_scale, Tensor):
                alike = new_scale.device.type == self._device and not new_scale.requires_grad
                if not alike or new_scale.data.size != 1:
                    raise AssertionError(
                        "new_scale should be a float or a 1-element gpunn.cuda.FloatTensor or "
                        "gpunn.FloatTensor with requires_grad=False."
                    )
                scale.copy_(wrap(new_scale.data.reshape(())))
            else:
                scale.fill_(new_scale)
        self._progress.clear()

    def _adapt(self, scale: Tensor, tracker: Tensor) -> None:
        found = [f for p in self._progress.values() for f in p.found_inf.values()]
        if not found:
            raise AssertionError("No inf checks were recorded prior to update.")
        # All on the device: no number is waited for.
        bad = found[0].to(scale.device)
        for other in found[1:]:
            bad = bad | other.to(scale.device)
        grown = tracker + 1 == self._growth_interval
        larger = scale * self._growth_factor
        larger = where(grown & larger.isfinite(), larger, scale)
        scale.copy_(where(bad, scale * self._backoff_factor, larger))
        tracker.copy_(where(bad | grown, 0, tracker + 1))

    def _state(self, name: str) -> tuple[Tensor, Tensor]:
        if self._scale is None or self._growth_tracker is None:
            raise AssertionError(
                f"Attempted {name} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )
        return self._scale, self._growth_tracker

    # Settings ------------------------------------------------------------------------------

    def get_scale(self) -> float:
        """The scale now; 1 if disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by to grow."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by to grow."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after an infinite gradient."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by after an infinite gradient."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many good steps in a row the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many good steps in a row the scale grows."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether it does anything."""
        return self._enabled

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        tracker = self._growth_tracker
        return self._init_growth_tracker if tracker is None else tracker.item()

    def state_dict(self) -> dict[str, Any]:
        """The scale, its settings, and the good steps in a row; empty if disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave. Raises RuntimeError for an empty one."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None and self._growth_tracker is not None:
            self._scale.fill_(self._init_scale)
            self._growth_tracker.fill_(self._init_growth_tracker)

    def __getstate__(self) -> dict[str, Any]:
        if self._progress:
            raise AssertionError(
                "A GradScaler instance may only be pickled at the beginning of an iteration, or at "
                "the end after scaler.update()."
            )
        state = self.__dict__.copy()
        state["_init_scale"] = self.get_scale() if self._enabled else self._init_scale
        state["_init_growth_tracker"] = self._get_growth_tracker()
        state["_scale"] = state["_growth_tracker"] = None
        return state


def _unscale(optimizer: Any, inverse: Tensor) -> dict[Device, Tensor]:
    """Multiply the gradients by ``inverse``; per device, whether one of them is not finite."""
    found: dict[Device, Tensor] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            gradient: Tensor | None = parameter.grad
            if gradient is None:
                continue
            if gradient.dtype is float16:
                raise ValueError("Attempting to unscale FP16 gradients.")
            where = gradient.device
            bad = ~gradient.isfinite().all()
            found[where] = found[where] | bad if where in found else bad
            gradient.mul_(inverse.to(where))
    return found
