"""How a module is held to PyTorch's: made with the same options, given its parameters, called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from conformance.calls import (
    Call,
    Outcome,
    call,
    compared,
    flat,
    gradients,
    host,
    nonzero,
    tensors,
)

import gpunn


class Of(NamedTuple):
    """What a library has to make itself: a module, a function, a packed sequence."""

    text: str
    make: Callable[[Any], Any]

    def __repr__(self) -> str:
        return self.text


class Use(NamedTuple):
    """A module's options, what it is then called with, and whether it trains."""

    options: Call
    given: Call
    training: bool = True

    def __str__(self) -> str:
        return f"({self.options}){'' if self.training else '.eval()'}({self.given})"


class Uses(dict[str, list[Use]]):
    """Uses by the module's name."""

    def add(self, names: str, options: list[Call], given: list[Call], *modes: bool) -> None:
        """Each of the ``options`` with everything ``given``, training and not (or as ``modes``)."""
        for name in names.split():
            self.setdefault(name, []).extend(
                Use(o, g, mode) for o in options for g in given for mode in modes or (True,)
            )


def made(lib: Any, value: Any, leaves: list[Any]) -> Any:
    """``value`` in the library at hand; see ``tensors``."""
    if isinstance(value, Of):
        return value.make(lib)
    if isinstance(value, (list, tuple)) and any(isinstance(v, Of) for v in value):
        return type(value)(made(lib, v, leaves) for v in value)
    return tensors(lib, value, leaves)


def outcome(lib: Any, name: str, use: Use, state: dict[str, Any] | None) -> tuple[Outcome, Any]:
    """Text, state's names and sizes, results, gradients and buffers after; and the state before.

    The module computes in float64, if what it is called with is.
    """
    leaves: list[Any] = []
    try:
        options = [made(lib, a, []) for a in use.options.args]
        more = {k: made(lib, v, []) for k, v in use.options.kwargs.items()}
        module = getattr(lib.nn, name)(*options, **more)
        args = [made(lib, a, leaves) for a in use.given.args]
        kwargs = {k: made(lib, v, leaves) for k, v in use.given.kwargs.items()}
        wide = [a for a in flat([args, list(kwargs.values())]) if hasattr(a, "dtype")]
        if any(a.dtype == lib.float64 for a in wide):
            module = module.double()
        module.train(use.training)
        before = repr(module)
        if name.startswith("Lazy"):  # its parameters have no shapes before
            module(*args, **kwargs)
        if state is None:
            state = {k: host(v) for k, v in module.state_dict().items()}
        else:
            module.load_state_dict({k: lib.from_numpy(v) for k, v in state.items()})
        names = [f"{k}: {list(v.shape)}" for k, v in module.state_dict().items()]
        leaves += module.parameters()
        names += [k for k, _ in module.named_parameters()]
        results = list(flat(module(*args, **kwargs)))
        roots = [r for r in results if getattr(r, "requires_grad", False)]
        texts = [text.replace("torch.", "gpunn.") for text in (before, repr(module))]
        found: list[Any] = [*texts, *names]
        found += map(host, [*results, *(b for _, b in module.named_buffers())])
        found += map(nonzero, gradients(lib, roots, [x for x in leaves if x.requires_grad]))
    except Exception as error:
        return Outcome([], error), state
    return Outcome(found, None), state


def disagreement(name: str, use: Use) -> str | None:
    """What differs between ``gpunn.nn``'s module of that name and PyTorch's; None if nothing."""
    import torch

    torch.manual_seed(0)
    theirs, state = outcome(torch, name, use, None)
    ours, _ = outcome(gpunn, name, use, state)
    inputs = call(use.options.args, use.given.args, list(use.given.kwargs.values()))
    return compared(f"nn.{name}{use}: ", ours, theirs, inputs)
