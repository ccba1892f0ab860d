"""Small models made twice, once from gpunn and once from PyTorch, with the same first values."""

from __future__ import annotations

from typing import Any


def scale(lib: Any, value: float = 2.0) -> Any:
    """A module of one parameter, of two buffers, and of what multiplies by it."""

    class Scale(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = lib.nn.Parameter(lib.tensor([value, value + 1]))
            self.register_buffer("count", lib.tensor(0))
            self.register_buffer("scratch", lib.zeros(1), persistent=False)

        def forward(self, x, shift=0):
            return x * self.weight + shift

        def extra_repr(self):
            return f"value={value}"

    return Scale()


def net(lib: Any) -> Any:
    """Two levels: ``first``, ``body.0``, ``body.1``, and a parameter of its own."""

    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = scale(lib, 1.0)
            self.bias = lib.nn.Parameter(lib.zeros(2))
            self.nothing = None
            self.register_parameter("absent", None)
            self.body = lib.nn.Sequential(scale(lib, 2.0), scale(lib, 3.0))

        def forward(self, x):
            return self.body(self.first(x)) + self.bias

    return Net()
