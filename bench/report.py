"""The page on speed, from a file of ``bench.measure``: ``python -m bench.report [FILE]``.

``python -m bench.report --compare OLD NEW`` prints the rows that got slower, and ends with status 1
if there are any.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.frameworks import FRAMEWORKS
from bench.rows import ROWS, SWEEPS

_DOCS = Path(__file__).parents[1] / "docs"
_TITLES = {
    "training": "Training steps",
    "inference": "Inference",
    "convolution": "One convolution, forward and backward",
    "operation": "One operation, forward and backward",
}
_INTRODUCTION = """# Benchmarks

Written by `python -m bench.report` from what `python -m bench.measure` found; do not edit by hand.

{machine}

Each framework ran in a process of its own, with all {cores} cores, and they took turns row by row;
times are the medians of all turns. The ratio is {peer}'s time divided by gpunn's: above 1, gpunn is
the faster. Over all {rows} rows its geometric mean is **{mean:.2f}**.
"""
_OTHERS = """
Beside them: {names}. Their way is to compile a whole step, and their images have the channels last;
gpunn and {peer} run one operation after another. What compiling takes counts in the memory and in
the first step, not in the times. Ratios are again times divided by gpunn's; their geometric means:
{means}.
"""
_MISSING = "-"  # what a framework cannot express


def ratio(row: dict[str, list[float]], peer: str) -> float:
    """The peer's median time over gpunn's."""
    return row[peer][0] / row["gpunn"][0]


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs))


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Markdown: the first column text, the others numbers."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _others(result: dict[str, Any], peer: str) -> list[str]:
    """The frameworks beside gpunn and its peer."""
    return [f for f in result["machine"] if f in FRAMEWORKS and f not in ("gpunn", peer)]


def _ms(row: dict[str, list[float]], framework: str) -> str:
    return f"{1e3 * row[framework][0]:.3f}" if framework in row else _MISSING


def _introduction(result: dict[str, Any], peer: str) -> str:
    times = {name: row for name, row in result["time"].items() if name in ROWS}
    info = result["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in info.items() if k not in ("cpu", "cores", "date"))
    ratios = {
        f: [ratio(row, f) for row in times.values() if f in row]
        for f in (peer, *_others(result, peer))
    }
    text = _INTRODUCTION.format(
        machine=f"Machine: {info['cpu']}, {info['cores']} cores; {versions}; {info['date']}.",
        cores=info["cores"],
        peer=peer,
        rows=len(times),
        mean=geometric_mean(ratios.pop(peer)),
    )
    if ratios:
        means = (f"{f} {geometric_mean(r):.2f} over {len(r)} rows" for f, r in ratios.items())
        text += _OTHERS.format(names=", ".join(ratios), peer=peer, means=", ".join(means))
    return text


def page(result: dict[str, Any], peer: str) -> str:
    """The whole page."""
    times = {name: row for name, row in result["time"].items() if name in ROWS}
    others = _others(result, peer)
    text = _introduction(result, peer)
    text += "\n![Ratio per row](images/bench-ratios.svg)\n"
    for kind, title in _TITLES.items():
        lines = [
            [
                name,
                _ms(row, "gpunn"),
                *(
                    cell
                    for f in (peer, *others)
                    for cell in (_ms(row, f), f"{ratio(row, f):.2f}" if f in row else _MISSING)
                ),
            ]
            for name, row in times.items()
            if ROWS[name].kind == kind
        ]
        if lines:
            head = [title, "gpunn, ms", f"{peer}, ms", "ratio"]
            head += [cell for f in others for cell in (f"{f}, ms", "ratio")]
            text += f"\n{table(head, lines)}"
    if result.get("memory"):
        lines = [
            [
                name,
                *(f"{row[f] / 2**20:.1f}" for f in ("gpunn", peer)),
                f"{row['gpunn'] / row[peer]:.2f}",
                *(f"{row[f] / 2**20:.1f}" if f in row else _MISSING for f in others),
            ]
            for name, row in result["memory"].items()
        ]
        head = [
            "Peak memory of the first steps, above the import's",
            "gpunn, MiB",
            f"{peer}, MiB",
            "share",
            *(f"{f}, MiB" for f in others),
        ]
        text += f"\n{table(head, lines)}"
    if result.get("start"):
        (start,) = result["start"].values()
        shown = ["gpunn", peer, *(f for f in others if f in start)]
        lines = [
            ["import, s", *(f"{start[f][0]:.2f}" for f in shown)],
            ["import and first trained step, s", *(f"{start[f][1]:.2f}" for f in shown)],
            ["size of the package alone, MB", *(f"{result['size'][f] / 1e6:.1f}" for f in shown)],
        ]
        text += f"\n{table(['Start', *shown], lines)}"
    if any(f"{sweep} {size}" in result["time"] for sweep in SWEEPS for size in SWEEPS[sweep]):
        text += "\n![Cost against size](images/bench-sweeps.svg)\n"
    return text


def plots(result: dict[str, Any], peer: str, folder: Path) -> None:
    """``bench-ratios`` and ``bench-sweeps`` as PNG and SVG."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "gpunn"  # the same picture, the same file
    from matplotlib import pyplot

    rows = [(name, ratio(r, peer)) for name, r in result["time"].items() if name in ROWS]
    figure, axes = pyplot.subplots(figsize=(8, 0.3 * len(rows) + 1))
    axes.barh(range(len(rows)), [r - 1 for _, r in rows], left=1, color="tab:green")
    for i, (_, r) in enumerate(rows):
        if r < 1:
            axes.patches[i].set_color("tab:red")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel(f"{peer}'s time / gpunn's")
    _save(figure, folder / "bench-ratios")
    points = {
        sweep: [n for n in sizes if f"{sweep} {n}" in result["time"]]
        for sweep, sizes in SWEEPS.items()
    }
    if not all(points.values()):
        return
    figure, panels = pyplot.subplots(1, len(points), figsize=(5 * len(points), 4))
    for axes, (sweep, sizes) in zip(panels, points.items(), strict=True):
        for f in ("gpunn", peer, *_others(result, peer)):
            rows = {n: result["time"][f"{sweep} {n}"] for n in sizes}
            curve = {n: 1e3 * row[f][0] for n, row in rows.items() if f in row}
            if curve:
                axes.loglog(list(curve), list(curve.values()), "o-", label=f)
        axes.set_title(sweep, fontsize=9)
        axes.set_xlabel(sweep.rpartition(": ")[2])
        axes.set_ylabel("ms")
        axes.legend()
    _save(figure, folder / "bench-sweeps")


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    for kind in ("png", "svg"):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(path.with_suffix(f".{kind}"), dpi=100, metadata=metadata)


def slower(old: dict[str, Any], new: dict[str, Any], peer: str, tolerance: float) -> list[str]:
    """A line for each row whose time grew by more than ``tolerance``.

    Where both files have the peer, gpunn's time is counted in the peer's: two runs on a machine
    that was not equally fast compare all the same.
    """
    lines: list[str] = []
    for name, row in new["time"].items():
        before = old["time"].get(name)
        if before is None:
            continue
        growth = row["gpunn"][0] / before["gpunn"][0]
        if peer in row and peer in before:
            growth = ratio(before, peer) / ratio(row, peer)
        if growth > 1 + tolerance:
            was, now = 1e3 * before["gpunn"][0], 1e3 * row["gpunn"][0]
            lines.append(f"{name}: {growth:.2f} times as slow ({was:.3f} ms, now {now:.3f} ms)")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default="bench/result.json")
    parser.add_argument("--peer", default="torch")
    parser.add_argument("--compare", nargs=2, metavar=("OLD", "NEW"))
    parser.add_argument("--tolerance", type=float, default=0.1)
    options = parser.parse_args()
    if options.compare:
        old, new = (json.loads(Path(f).read_text()) for f in options.compare)
        lines = slower(old, new, options.peer, options.tolerance)
        print("\n".join(lines) or "no row got slower")
        sys.exit(bool(lines))
    result = json.loads(Path(options.file).read_text())
    plots(result, options.peer, _DOCS / "images")
    (_DOCS / "benchmarks.md").write_text(page(result, options.peer))
    print("wrote docs/benchmarks.md")


if __name__ == "__main__":
    main()
