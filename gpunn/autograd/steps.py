"""Optimizer steps as backward sees them: a graph that goes back beyond one is seldom meant.

A state carried from step to step without ``detach()`` leads backward into the past, through weights
that are no longer what they were. No operation costs more for it: nodes are numbered anyway.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from gpunn.autograd.grad_mode import thread
from gpunn.autograd.lines import line_of, program_frame
from gpunn.autograd.node import Edge, Node, clock, leaves_below
from gpunn.autograd.variable import Variable


class Step(NamedTuple):
    """The last step of one optimizer; nodes recorded before it have smaller numbers."""

    sequence: int
    line: str
    groups: list[dict[str, Any]]


class Carried(NamedTuple):
    """A tensor that was made before a step, by weights which that changed, and used after it."""

    node: Node
    nr: int
    step: Step

    def __str__(self) -> str:
        output = self.node.outputs[self.nr]
        size = f" of size {list(output[0])}" if output is not None else ""
        line = f" (at {line_of(self.node.trace)})" if self.node.trace else ""
        return (
            f"backward goes back beyond the optimizer step at {self.step.line}: a tensor{size} "
            f"that {self.node.name} made before it{line} is used after it. Call detach() on what "
            "is carried from one step to the next"
        )


class _Looking:
    """How much longer to look: a program that does not mean harm is left alone after a while."""

    latest = 0  # the number of the last step of all
    fruitless = 0
    tracing = 0  # steps for which operations still note their lines, after a first finding
    over = False


_LOOKS = 16
looking = _Looking()
_steps: WeakKeyDictionary[Any, Step] = WeakKeyDictionary()


def note(optimizer: Any, groups: list[dict[str, Any]]) -> None:
    """An optimizer has changed the parameters of its groups."""
    looking.latest = next(clock)
    frame = program_frame()
    line = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"
    _steps[optimizer] = Step(looking.latest, line, groups)
    if looking.tracing:
        looking.tracing -= 1
        thread.mode.tracing = thread.mode.anomaly or looking.tracing > 0


def look(roots: list[Edge]) -> None:
    """Warn if a backward from ``roots``, which met nodes from before a step, met a mistake.

    The first warning has operations note their lines for a while, so that a second can name it.
    """
    if looking.over:
        return
    carried = find(roots)
    if carried is None:
        looking.fruitless += 1
        looking.over = looking.fruitless == _LOOKS
        return
    text = str(carried)
    if carried.node.trace:
        looking.over = True
    elif not looking.tracing:
        text += "; the next such backward will name the line that made it"
        looking.tracing, thread.mode.tracing = 3, True
    else:
        return
    frame = program_frame()
    if frame is None:
        warnings.warn(text, UserWarning, stacklevel=2)
    else:
        registry = frame.f_globals.setdefault("__warningregistry__", {})
        where = frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__")
        warnings.warn_explicit(text, UserWarning, *where, registry)


def explain(error: Exception, node: Node | None, roots: list[Edge]) -> None:
    """Add to an error of ``node`` in backward what is known of its origin."""
    if node is not None and node.trace and "Forward call" not in str(error):
        error.add_note(f"Forward call of {node.name}:\n{''.join(node.trace.format())}")
    if isinstance(error, RuntimeError):
        carried = find(roots)
        if carried is not None:
            more = "" if carried.node.trace else "; autograd.detect_anomaly() finds its line"
            error.add_note(f"{carried}{more}")


def find(roots: list[Edge]) -> Carried | None:
    """A tensor carried over a step to where ``roots`` come from; None if there is none."""
    for step in sorted(_steps.values(), reverse=True, key=lambda s: s.sequence):
        changed = {id(p) for group in step.groups for p in group["params"]}
        stack, seen = list(roots), set[Node]()
        while stack:
            edge = stack.pop()
            if isinstance(edge, Variable):
                continue
            node, nr = edge
            if node.sequence < step.sequence:
                if any(id(leaf) in changed for leaf in leaves_below(node, seen)):
                    return Carried(node, nr, step)
            elif node not in seen:
                seen.add(node)
                stack.extend(e for e in node.edges if e is not None)
    return None
