"""``python -m gpunn.sim script.py``: run a script whose CUDA device is simulated."""

from __future__ import annotations

import argparse
import os
import runpy
import sys

import gpunn.sim


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gpunn.sim",
        description="Run a script that uses CuPy, or gpunn's 'cuda' device, on a simulated GPU.",
    )
    parser.add_argument("--profile", action="store_true", help="print counters of each .cu line")
    parser.add_argument("--json", metavar="FILE", help="write these counters to a file")
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="look for no races, and for no unwritten memory: faster",
    )
    parser.add_argument("--arch", type=int, default=80, choices=gpunn.sim.ARCHS, help="default 80")
    parser.add_argument("--seed", type=int, default=0, help="shuffle the order of blocks and warps")
    parser.add_argument("--devices", type=int, default=1, help="how many devices; default 1")
    parser.add_argument("--memory", type=float, default=8, help="GiB of each device; default 8")
    parser.add_argument("script")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")
    given = parser.parse_args(arguments)
    try:
        device = gpunn.sim.install(
            arch=given.arch,
            check=not given.no_check,
            profile=given.profile or given.json is not None,
            seed=given.seed,
            devices=given.devices,
            memory=int(given.memory * 2**30),
        )
    except (RuntimeError, ValueError) as error:
        sys.exit(str(error))
    checks = (
        "only addresses and barriers are checked" if given.no_check else "all accesses are checked"
    )
    print(
        f"gpunn.sim: a simulated sm_{given.arch} runs this; {checks}; its times mean nothing",
        file=sys.stderr,
    )
    sys.argv = [given.script, *given.args]
    sys.path[0] = os.path.dirname(os.path.abspath(given.script))
    try:
        runpy.run_path(given.script, run_name="__main__")
    finally:
        if given.profile:
            print(device.profile.table(), file=sys.stderr)
        if given.json is not None:
            device.profile.write(given.json)


if __name__ == "__main__":
    main()
