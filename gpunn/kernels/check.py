"""Prove a file of kernels: signature, values, gradients, the simulator's checks, machine code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy
from numpy.typing import NDArray

import gpunn
from gpunn.backends import machine_code, sources
from gpunn.backends.signature import signatures
from gpunn.kernels import catalogue, override
from gpunn.kernels.cases import CASES, Case, family
from gpunn.tensor import Tensor

Array = NDArray[numpy.float64]

# What may lie between the CPU and a kernel: in units of the largest value, sums being reordered.
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}


def check(path: Path, say: Callable[[str], None] = print) -> None:
    """Raise on the first fault of a kernel in ``path``; each must bear the name of one of ours."""
    ours, mine = catalogue(), list(signatures(sources.read(path)))
    if not mine:
        raise ValueError(f'{path.name} has no kernel: no extern "C" __global__ function')
    with ExitStack() as stack:
        for name in mine:
            stack.enter_context(override(name, path))
            say(f"{name}: the parameters are those of {ours[name][0]}")
        launched: dict[str, int] = dict.fromkeys(mine, 0)
        for kin in dict.fromkeys(family(ours[name][0]) for name in mine):
            for case in CASES[kin]:
                for dtype in TOLERANCE:
                    for name in compare(case, dtype):
                        if name in launched:
                            launched[name] += 1
        for name, count in launched.items():
            if not count:
                raise ValueError(f"{name}: no case launched it: nothing shown")
            say(f"{name}: {count} launches agree with the CPU, gradients too; no finding")
    report(path, {name: ours[name][0] for name in mine}, say)


def report(path: Path, homes: dict[str, str], say: Callable[[str], None]) -> None:
    """Say what machine code the float build of each kernel becomes. Raises ValueError on a spill.

    ``homes`` are the kernels' names, and the files of gpunn's whose builds they are to have.
    """
    problem = machine_code.problem()
    if problem is not None:
        say(f"no machine code to look at: {problem}")
        return
    for file in dict.fromkeys(homes.values()):
        build = sources.files[file].builds[0]
        flags = (*sources.options(build.macros), f"-I{path.parent}")
        for arch in machine_code.ARCHITECTURES:
            if arch < build.since:
                continue
            codes = machine_code.machine_code(sources.read(path), arch, flags, path.name)
            for name in (n for n, home in homes.items() if home == file):
                say(str(codes[name]))
                if codes[name].spills:
                    raise ValueError(
                        f"{name} spills {codes[name].spills} bytes of registers on sm_{arch}: let "
                        "a thread hold less, or bound fewer threads by __launch_bounds__"
                    )


def compare(case: Case, dtype: str) -> list[str]:
    """Hold a case on CUDA to the CPU; the kernels it launched. Raises AssertionError."""
    from gpunn.backends.launcher import recorded  # needs CuPy, as nothing before

    expected = list(_results(case, dtype, "cpu"))
    with recorded() as names:
        got = list(_results(case, dtype, "cuda"))
    for (what, a), (_, b) in zip(got, expected, strict=True):
        errors = numpy.abs(a - b).reshape(-1) / (numpy.abs(b).max(initial=0) or 1)
        error = errors.max(initial=0)
        if not error <= TOLERANCE[dtype]:  # NaN fails too
            index = int(errors.argmax())
            raise AssertionError(
                f"{case.name}, {dtype}: {what} differs from the CPU's by {error:.2g} of its "
                f"largest value (allowed: {TOLERANCE[dtype]:g}), most at element "
                f"{index}: got {a.flat[index]}, expected {b.flat[index]}; "
                f"launched: {', '.join(dict.fromkeys(names))}"
            )
    return names


def _results(case: Case, dtype: str, device: str) -> Iterator[tuple[str, Array]]:
    gpunn.manual_seed(1)
    numbers = numpy.random.default_rng(1)
    inputs = [
        gpunn.tensor(numbers.standard_normal(shape), device=device).to(getattr(gpunn, dtype))
        for shape in case.shapes
    ]
    for x in inputs:
        x.requires_grad_(case.gradient)
    y = case.run(*inputs)
    yield "the result", _host(y)
    if case.gradient:
        weights = gpunn.linspace(-1, 1, y.numel(), dtype=y.dtype, device=device).reshape(y.shape)
        y.backward(weights)
        for i, x in enumerate(inputs):
            if x.grad is not None:
                yield f"the gradient of input {i}", _host(x.grad)


def _host(x: Tensor) -> Array:
    return numpy.asarray(x.detach().cpu().numpy(), numpy.float64)
