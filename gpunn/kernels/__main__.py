"""``python -m gpunn.kernels``: list the kernels, or prove a file of one's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import gpunn.sim
from gpunn.kernels import catalogue


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, or 1 where a kernel failed its proof."""
    parser = argparse.ArgumentParser(prog="python -m gpunn.kernels", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("list", help="every kernel, its file and its parameters (the default)")
    proof = commands.add_parser("check", help="prove the kernels in a file, on a simulated GPU")
    proof.add_argument("file", type=Path, help="a .cu with kernels that bear names of gpunn's")
    given = parser.parse_args(arguments)
    if given.command != "check":
        for name, (file, parameters) in catalogue().items():
            print(f"{file}: {name}({', '.join(f'{p} {p.name}' for p in parameters)})")
        return 0
    problem = gpunn.sim.problem()
    if problem is not None:
        print(f"python -m gpunn.kernels: {problem}", file=sys.stderr)
        return 1
    if not given.file.is_file():
        print(f"python -m gpunn.kernels: there is no file {given.file}", file=sys.stderr)
        return 1
    gpunn.sim.install()
    from gpunn.kernels.check import check  # after install(): it reaches CuPy

    try:
        check(given.file)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
