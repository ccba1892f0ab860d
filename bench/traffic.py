"""Bytes that each operation moves on CUDA, counted by the simulator, over the least it could move.

    python -m bench.traffic            # writes docs/traffic.md

All kernels that an operation launches count, CuPy's own too. The simulator has no caches: a sector
that two warps read counts twice, where a GPU may find it in L2.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gpunn
import gpunn.nn.functional as F
import gpunn.sim
from gpunn.kernels import catalogue
from gpunn.sim.profile import SECTOR, Profile

PAGE = Path(__file__).parent.parent / "docs" / "traffic.md"


class Row(NamedTuple):
    """``least`` bytes for each element of x, forward and backward, in float32."""

    name: str
    shape: tuple[int, ...]
    least: tuple[float, float]
    run: Callable[[Any], Any]


def _conv(groups: int) -> Callable[[Any], Any]:
    """A 3 x 3 convolution to as many channels, whose weight needs a gradient too."""

    def run(x: Any) -> Any:
        c = x.shape[1]
        weight = gpunn.ones(c, c // groups, 3, 3, device=x.device, requires_grad=True)
        return F.conv2d(x, weight, padding=1, groups=groups)

    return run


ROWS = (
    # Filters count 4.5 bytes for each element of x, and once more as a gradient.
    Row("conv2d 3x3, 64 channels", (2, 64, 16, 16), (12.5, 21), _conv(1)),
    Row("conv2d 3x3, depthwise", (2, 64, 32, 32), (8, 16), _conv(64)),
    Row("max_pool2d(2)", (4, 8, 64, 64), (6, 6), lambda x: F.max_pool2d(x, 2)),
    Row("avg_pool2d(2)", (4, 8, 64, 64), (5, 5), lambda x: F.avg_pool2d(x, 2)),
    Row("dropout", (64, 2048), (8, 8), lambda x: F.dropout(x, 0.3)),
    Row("dropout2d", (8, 32, 16, 16), (8, 8), lambda x: F.dropout2d(x, 0.3)),
    Row("softmax, rows of 1024", (64, 1024), (8, 12), lambda x: F.softmax(x, -1)),
    Row("log_softmax, rows of 1024", (64, 1024), (8, 12), lambda x: F.log_softmax(x, -1)),
    Row(
        "cross_entropy, 1024 classes",
        (64, 1024),
        (8, 8),
        lambda x: F.cross_entropy(x, gpunn.arange(64, device=x.device) * 7),
    ),
    Row(
        "batch_norm, training",
        (8, 16, 32, 32),
        (12, 20),
        lambda x: F.batch_norm(x, None, None, training=True),
    ),
    Row("layer_norm, rows of 1024", (64, 1024), (8, 12), lambda x: F.layer_norm(x, (1024,))),
    Row("group_norm, 4 groups", (8, 16, 32, 32), (8, 12), lambda x: F.group_norm(x, 4)),
)


def optimizers() -> dict[str, tuple[float, Callable[[list[Any]], Any]]]:
    """The least bytes per parameter of a step, and the optimizer."""
    return {
        "SGD, momentum": (20, lambda p: gpunn.optim.SGD(p, 0.1, momentum=0.9)),
        "Adam": (28, lambda p: gpunn.optim.Adam(p, 0.01)),
        "AdamW": (28, lambda p: gpunn.optim.AdamW(p, 0.01)),
    }


class Count(NamedTuple):
    """Bytes moved, sectors over what the requests needed, kernels launched (ours, and others)."""

    bytes: int
    excess: float
    ours: list[str]
    others: int


def counted(work: Callable[[], Any]) -> tuple[Any, Count]:
    """What ``work`` gives, and what it cost."""
    device = gpunn.sim.install(profile=True)
    device.profile = Profile()
    result = work()
    kernels, known = device.profile.kernels, catalogue()
    gpunn.sim.install()
    lines = [line for kernel in kernels.values() for line in kernel.lines.values()]
    sectors, least = sum(c.sectors for c in lines), sum(c.least_sectors for c in lines)
    ours = [name for name in kernels if name in known]
    return result, Count(SECTOR * sectors, sectors / max(least, 1), ours, len(kernels) - len(ours))


def measured() -> list[tuple[str, str, float, float, Count]]:
    """Each row's name, direction, least bytes, ratio and count."""
    rows: list[tuple[str, str, float, float, Count]] = []

    def add(name: str, way: str, least: float, n: int, count: Count) -> None:
        rows.append((name, way, least, count.bytes / (least * n), count))

    for name, shape, (forward, backward), run in ROWS:
        gpunn.manual_seed(0)
        x = gpunn.randn(*shape, device="cuda").requires_grad_()
        y, count = counted(lambda run=run, x=x: run(x))
        add(name, "forward", forward, x.numel(), count)
        if name.startswith("cross_entropy"):  # its bytes are both ways' together
            _, back = counted(y.backward)
            total = Count(
                count.bytes + back.bytes,
                max(count.excess, back.excess),
                count.ours + back.ours,
                count.others + back.others,
            )
            rows.pop()
            add(name, "both", forward, x.numel(), total)
            continue
        dy = gpunn.randn(*y.shape, device="cuda")
        _, count = counted(lambda y=y, dy=dy: y.backward(dy))
        add(name, "backward", backward, x.numel(), count)
    for name, (least, make) in optimizers().items():
        parameters = [gpunn.randn(n, 64, device="cuda").requires_grad_() for n in (64, 1, 256, 512)]
        optimizer = make(parameters)
        for p in parameters:
            p.grad = p.detach() * 0.5
        optimizer.step()  # makes its state
        _, count = counted(optimizer.step)
        add(name, "step", least, sum(p.numel() for p in parameters), count)
    return rows


def page() -> str:
    """docs/traffic.md."""
    lines = [
        "# Bytes moved",
        "",
        "What each operation reads and writes on CUDA, in float32, counted by the simulator in",
        "sectors of 32 bytes, over the least that it could: each input read and each output",
        "written once. All kernels that it launches count, CuPy's own too. Generated by",
        "`python -m bench.traffic`; the simulator has no caches, and knows nothing of time. A",
        "convolution's tiles read what their neighbours read too: a GPU has it in L2.",
        "",
        "| operation | | least bytes per element | moved / least | sectors / needed | kernels |",
        "|---|---|---|---|---|---|",
    ]
    for name, way, least, ratio, count in measured():
        others = f", {count.others} of CuPy's" if count.others else ""
        ours = ", ".join(f"`{kernel}`" for kernel in count.ours)
        lines.append(
            f"| {name} | {way} | {least:g} | {ratio:.2f} | {count.excess:.2f} | {ours}{others} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    gpunn.sim.install()
    PAGE.write_text(page())
    print(PAGE.read_text())
