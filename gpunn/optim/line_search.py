"""The search for a step along a line; it knows neither parameters nor optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gpunn.tensor import Tensor

ENOUGH_DESCENT, ENOUGH_FLATTER = 1e-4, 0.9  # c1 and c2 of Nocedal and Wright


class Point(NamedTuple):
    """A step along the line, and what is known there; slope is the derivative by t."""

    t: Any
    loss: float
    dw: Tensor
    slope: Any


def strong_wolfe(
    at: Callable[[Any], Point],
    start: Point,
    t: Any,
    reach: Tensor,
    tolerance: float,
    most: int,
) -> Point:
    """A point with enough descent whose slope is small enough: the strong Wolfe conditions.

    From the guess ``t`` on, a bracket is sought that must hold one, and then narrowed (Nocedal and
    Wright, 2006, algorithms 3.5 and 3.6). ``reach`` is the largest entry of the direction. The best
    point seen is given after ``most`` evaluations, the first included but not counted, or when the
    bracket is shorter than ``tolerance``.
    """

    def too_high(p: Point) -> Any:
        return p.loss > start.loss + ENOUGH_DESCENT * p.t * start.slope

    def flat(p: Point) -> Any:
        return abs(p.slope) <= -ENOUGH_FLATTER * start.slope

    before, now, count = start, at(t), 0
    while True:
        if count >= most:
            return start if start.loss <= now.loss else now
        if too_high(now) or (count > 1 and now.loss >= before.loss):
            break
        if flat(now):
            return now
        if now.slope >= 0:
            break
        farther = now.t + 0.01 * (now.t - before.t), now.t * 10
        before, now = now, at(_cubic_minimum(before, now, farther))
        count += 1
    return _narrowed(at, [before, now], too_high, flat, reach, tolerance, most - count)


def _narrowed(
    at: Callable[[Any], Point],
    bracket: list[Point],
    too_high: Callable[[Point], Any],
    flat: Callable[[Point], Any],
    reach: Tensor,
    tolerance: float,
    most: int,
) -> Point:
    """The point sought, from a bracket around it; what is lower stays in the bracket."""
    stuck = False
    low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
    for _ in range(most):
        left, right = bracket
        if abs(right.t - left.t) * reach < tolerance:
            break
        ends = min(left.t, right.t), max(left.t, right.t)
        t = _cubic_minimum(left, right, ends)
        # Close to an end for the second time, or on it: at least a tenth of the way from there.
        margin = 0.1 * (ends[1] - ends[0])
        near = min(ends[1] - t, t - ends[0]) < margin
        if near and (stuck or t >= ends[1] or t <= ends[0]):
            t = ends[1] - margin if abs(t - ends[1]) < abs(t - ends[0]) else ends[0] + margin
            near = False
        stuck = bool(near)
        now = at(t)
        if too_high(now) or now.loss >= bracket[low].loss:
            bracket[high] = now
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
            continue
        done = flat(now)
        if not done and now.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = now
        if done:
            break
    return bracket[low]


def _cubic_minimum(a: Point, b: Point, ends: tuple[Any, Any]) -> Any:
    """Where the cubic through two points with their slopes is least, within ``ends``."""
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (ends[0] + ends[1]) / 2
    d2 = square.sqrt()
    if not a.t <= b.t:
        a, b = b, a
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, ends[0]), ends[1])
