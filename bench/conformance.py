"""What gpunn has of PyTorch: ``python -m bench.conformance`` writes docs/conformance.md.

Each function's calls are those of ``tests/conformance``, made here on both and compared.
"""

from __future__ import annotations

import inspect
import sys
import types
from pathlib import Path
from typing import Any

import gpunn

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "conformance.md"
SPACES = {
    "torch": "",
    "torch.nn.functional": "nn.functional",
    "torch.nn": "nn",
    "torch.optim": "optim",
    "torch.optim.lr_scheduler": "optim.lr_scheduler",
    "torch.optim.swa_utils": "optim.swa_utils",
    "torch.linalg": "linalg",
    "torch.special": "special",
    "torch.nn.utils": "nn.utils",
    "torch.nn.utils.rnn": "nn.utils.rnn",
    "torch.nn.init": "nn.init",
    "torch.cuda": "cuda",
    "torch.autograd": "autograd",
    "torch.autograd.functional": "autograd.functional",
    "torch.autograd.graph": "autograd.graph",
    "torch.func": "func",
    "torch.utils.checkpoint": "utils.checkpoint",
    "torch.Tensor": "Tensor",
}


def names_of(space: Any) -> set[str]:
    """The public functions and classes of PyTorch's namespace, without what it only imports."""
    found: set[str] = set()
    for name in getattr(space, "__all__", None) or dir(space):
        value = getattr(space, name, None)
        if name.startswith("_") or isinstance(value, types.ModuleType) or not callable(value):
            continue
        module = getattr(value, "__module__", "") or "torch"
        if not inspect.isclass(space) and not module.startswith("torch"):
            continue
        found.add(name)
    return found


def counts() -> dict[str, tuple[int, int]]:
    """For each name with calls in the tests: how many there are, and how many agree."""
    import torch

    sys.path.insert(0, str(ROOT / "tests"))
    from conformance import modules, test_modules, test_programs, test_torch
    from conformance.calls import disagreement, unwarned

    tallies: dict[str, tuple[int, int]] = {}
    with unwarned():
        for table in (test_torch, test_programs):
            for name, calls in table.CALLS.items():
                ours, theirs = table.find(gpunn, name), table.find(torch, name)
                if ours is not None and theirs is not None:
                    good = sum(disagreement(name, ours, theirs, c) is None for c in calls)
                    tallies[name] = len(calls), good
        for name in test_modules.NAMES:
            uses = test_modules.MODULES[name]
            good = sum(modules.disagreement(name, use) is None for use in uses)
            tallies[f"nn.{name}"] = len(uses), good
    return tallies


def page() -> str:
    """The text of docs/conformance.md."""
    import torch

    tallies = counts()
    calls, agree = (sum(t[i] for t in tallies.values()) for i in range(2))
    out = [
        "# What there is of PyTorch",
        "",
        "Written by `python -m bench.conformance`; do not edit by hand.",
        "",
        f"Every public function and class of PyTorch {torch.__version__.partition('+')[0]}'s",
        "namespaces below, in gpunn or not. A number after a name counts the calls with which",
        "`tests/conformance` holds it to PyTorch: values, dtypes, gradients, second gradients and",
        "refusals; of a module, the ways in which it is made with options and called, its text,",
        f"parameters and buffers with them. Of {calls:,} calls {agree:,} agree. Names without a",
        "number are tested elsewhere in `tests`.",
    ]
    for title, place in SPACES.items():
        theirs: Any = torch
        ours: Any = gpunn
        for part in place.split(".") if place else ():
            theirs, ours = getattr(theirs, part), getattr(ours, part, None)
        names = names_of(theirs)
        have = sorted(n for n in names if hasattr(ours, n))
        lack = sorted(names - set(have))
        prefix = f"{place}." if place else ""
        shown = [
            f"`{n}`" + (f" {tallies[prefix + n][1]}" if prefix + n in tallies else "") for n in have
        ]
        out += ["", f"## {title}", "", f"{len(have)} of {len(names)} names.", ""]
        out += [f"**Here**: {', '.join(shown) or 'none'}.", ""]
        out += ["<details><summary>Not here</summary>", "", ", ".join(f"`{n}`" for n in lack), ""]
        out += ["</details>"]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)}: {len(PAGE.read_text().splitlines())} lines")
