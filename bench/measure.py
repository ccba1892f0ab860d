"""Times and memory of the rows, framework against framework: ``python -m bench.measure -o FILE``.

Each framework lives in a process of its own. They take turns, row by row, so that whatever else the
machine does meets all; a row's figure is the median of all its turns' times. A row that a
framework cannot express is left out of its results.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.frameworks import load
from bench.rows import ROWS, Work, makes

# OpenBLAS and PyTorch choose their code by the processor unless such a variable says otherwise.
_FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


# In the worker ------------------------------------------------------------------------------


def _times(run: Work, seconds: float) -> list[float]:
    """Seconds of each call, for as long as ``seconds``; short calls are timed in bunches."""
    run()
    start = time.perf_counter()
    run()
    bunch = max(1, int(0.002 / (time.perf_counter() - start)))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(bunch):
            run()
        times.append((time.perf_counter() - start) / bunch)
    return times


def _peak() -> int:
    """The most memory this process has held, in bytes; 0 where the system does not say."""
    status = Path("/proc/self/status")  # getrusage would count the parent's too
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def work(name: str, device: str) -> None:
    """Answer requests, one JSON line each: times of a row, or the memory that it takes."""
    began = time.perf_counter()
    framework = load(name)
    imported = time.perf_counter() - began
    rows = framework.works(device)
    made: dict[str, Work] = {}
    for line in sys.stdin:
        request = json.loads(line)
        row, answer = request["row"], None
        if row not in rows:
            pass
        elif request["what"] == "start":
            rows[row]()()
            answer = [imported, time.perf_counter() - began]
        elif request["what"] == "memory":
            before = _peak()
            step = rows[row]()
            for _ in range(3):
                step()
            answer = _peak() - before
        else:
            if row not in made:
                made.clear()  # one row at a time, or memory and caches are those of all
                made[row] = rows[row]()
            answer = _times(made[row], request["seconds"])
        print(json.dumps(answer), flush=True)


# In the parent ------------------------------------------------------------------------------


class Worker:
    """A framework in a process of its own."""

    def __init__(self, framework: str, device: str) -> None:
        free = {k: v for k, v in os.environ.items() if k not in _FORCED}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.measure", "--worker", framework, "--device", device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=free,
        )

    def ask(self, **request: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def machine(frameworks: list[str]) -> dict[str, Any]:
    """What the numbers depend on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    packages = {name: load(name).PACKAGES[0] for name in frameworks}
    packages |= {name: importlib.import_module(name) for name in ("numpy", "scipy")}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": model,
        "cores": cores,
        "python": platform.python_version(),
        "system": platform.system(),
        "date": time.strftime("%Y-%m-%d"),
        **{name: module.__version__ for name, module in packages.items()},
    }


def measure(
    names: list[str], frameworks: list[str], device: str, rounds: int, seconds: float
) -> dict[str, dict[str, list[float]]]:
    """The median and the least time of each row in each framework, in seconds."""
    workers = {f: Worker(f, device) for f in frameworks}
    results: dict[str, dict[str, list[float]]] = {}
    try:
        for name in names:
            times: dict[str, list[float]] = {f: [] for f in frameworks}
            for _ in range(rounds):
                for f, worker in workers.items():
                    times[f] += worker.ask(what="time", row=name, seconds=seconds) or []
            results[name] = {f: [statistics.median(t), min(t)] for f, t in times.items() if t}
            print(_line(name, results[name]), flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    return results


def _line(name: str, row: dict[str, list[float]]) -> str:
    text = f"{name:44}" + "".join(f"{f} {1e3 * t[0]:8.3f} ms   " for f, t in row.items())
    for peer in row if "gpunn" in row else ():
        if peer != "gpunn":
            ratio, best = (t / g for t, g in zip(row[peer], row["gpunn"], strict=True))
            text += f"{peer}'s ratio {ratio:5.2f} (of the least times {best:.2f})   "
    return text.rstrip()


def once(what: str, names: list[str], frameworks: list[str], device: str) -> dict[str, Any]:
    """``what`` of each row, in a fresh process each."""
    results: dict[str, Any] = {}
    for name in names:
        results[name] = {}
        for f in frameworks:
            worker = Worker(f, device)
            answer = worker.ask(what=what, row=name)
            worker.close()
            if answer is not None:
                results[name][f] = answer
    return results


def installed_size(framework: str) -> int:
    """Bytes of its own packages' folders, without what they need and without compiled Python."""
    folders = [Path(package.__file__ or "").parent for package in load(framework).PACKAGES]
    files = (p for f in folders for p in f.rglob("*") if "__pycache__" not in p.parts)
    return sum(p.stat().st_size for p in files if p.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", default="bench/result.json")
    parser.add_argument("-k", "--keyword", default="", help="only rows whose name contains it")
    parser.add_argument("--frameworks", nargs="+", default=["gpunn", "torch"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each turn")
    parser.add_argument("--rows-only", action="store_true", help="neither sweeps nor memory")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.device)
        return
    frameworks, device = options.frameworks, options.device
    chosen = [n for n in makes() if options.keyword.lower() in n.lower()]
    if options.rows_only:
        chosen = [n for n in chosen if n in ROWS]
    result: dict[str, Any] = {"machine": machine(frameworks), "device": device}
    result["time"] = measure(chosen, frameworks, device, options.rounds, options.seconds)
    if not options.rows_only:
        steps = [n for n in chosen if n in ROWS and ROWS[n].kind == "training"]
        result["memory"] = once("memory", steps, frameworks, device)
        result["start"] = once("start", steps[:1], frameworks, device)
        result["size"] = {f: installed_size(f) for f in frameworks}
    Path(options.output).write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
