"""LBFGS: a quasi-Newton method on one long vector of all the weights, with a closure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.autograd.grad_mode import enable_grad, no_grad
from gpunn.ops.joining import cat
from gpunn.optim.line_search import Point, strong_wolfe
from gpunn.optim.optimizer import Group, Optimizer, Params
from gpunn.optim.options import check_options
from gpunn.tensor import Tensor


class LBFGS(Optimizer):
    """Newton's method whose inverse Hessian is guessed from the last steps (D. Liu, J. Nocedal).

    A step goes ``max_iter`` times ``w += t d`` with ``d = -H dw``, where H is built from the last
    ``history_size`` pairs of (step, change of the gradient). t is ``lr``, at the very first
    ``min(1, 1 / sum |dw|) * lr``, or with ``line_search_fn="strong_wolfe"`` found from there.
    It ends early when no gradient is above ``tolerance_grad``, when loss or weights move by less
    than ``tolerance_change``, or after ``max_eval`` evaluations (default: 5/4 of ``max_iter``).

    There is one parameter group. Raises ValueError for another, and for a negative ``lr``.
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr, "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change,
            "history_size": history_size, "line_search_fn": line_search_fn,
        }  # fmt: skip
        check_options(defaults)
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:
        """Go on until a reason to end; ``closure`` computes the loss anew, with its gradients.

        Returns the loss at the start. Raises RuntimeError for an unknown ``line_search_fn``.
        """
        group = self.param_groups[0]
        params: list[Tensor] = group["params"]
        state = self.state[params[0]]  # of all parameters, as PyTorch keeps it
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        allowed = state["func_evals"] + group["max_eval"]

        def evaluate() -> tuple[Any, Tensor]:
            state["func_evals"] += 1
            with enable_grad():
                loss = closure()
            return loss, _gradient(params)

        def along(d: Tensor) -> Callable[[Any], Point]:
            start = [p.clone() for p in params]

            def at(t: Any) -> Point:
                _move(params, t, d)
                loss, dw = evaluate()
                for p, value in zip(params, start, strict=True):
                    p.copy_(value)
                return Point(t, float(loss), dw, dw.dot(d))

            return at

        first, dw = evaluate()
        loss = float(first)
        small, still = group["tolerance_grad"], group["tolerance_change"]
        if dw.abs().max() <= small:
            return first
        for i in range(group["max_iter"]):
            state["n_iter"] += 1
            d = state["d"] = _direction(state, dw, group["history_size"])
            t = state["t"] = _first_guess(state, dw, group)
            state["prev_flat_grad"], state["prev_loss"] = dw, loss
            slope = dw.dot(d)
            if slope > -still:
                break
            before = loss
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                reach, left = d.abs().max(), allowed - state["func_evals"]
                here = Point(0, loss, dw, slope)
                t, loss, dw, _ = strong_wolfe(along(d), here, t, reach, still, left)
                state["t"] = t
                _move(params, t, d)
            else:
                _move(params, t, d)
                if i + 1 < group["max_iter"]:  # the last is for the next step to evaluate
                    value, dw = evaluate()
                    loss = float(value)
            if (
                state["func_evals"] >= allowed
                or dw.abs().max() <= small
                or (d * t).abs().max() <= still
                or abs(loss - before) < still
            ):
                break
        return first


def _first_guess(state: dict[str, Any], dw: Tensor, group: Group) -> Any:
    lr = group["lr"].item() if isinstance(group["lr"], Tensor) else group["lr"]
    return min(1.0, 1.0 / dw.abs().sum()) * lr if state["n_iter"] == 1 else lr


def _direction(state: dict[str, Any], dw: Tensor, history_size: int) -> Tensor:
    """-H dw, by the two loops over the history (Nocedal and Wright, 2006, algorithm 7.4)."""
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return -dw
    changes, steps, scales = state["old_dirs"], state["old_stps"], state["ro"]
    change, step = dw - state["prev_flat_grad"], state["d"] * state["t"]
    curvature = change.dot(step)
    if curvature > 1e-10:
        if len(changes) == history_size:
            for kept in (changes, steps, scales):
                kept.pop(0)
        changes.append(change)
        steps.append(step)
        scales.append(1.0 / curvature)
        state["H_diag"] = curvature / change.dot(change)
    q, shares = -dw, list[Tensor]()
    for y, s, scale in zip(reversed(changes), reversed(steps), reversed(scales), strict=True):
        shares.append(s.dot(q) * scale)
        q.sub_(y * shares[-1])
    q = q * state["H_diag"]
    for y, s, scale, share in zip(changes, steps, scales, reversed(shares), strict=True):
        q.add_(s * (share - y.dot(q) * scale))
    return q


def _gradient(params: list[Tensor]) -> Tensor:
    """All gradients in one vector, zeros where there is none."""
    found = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in params]
    return cat([dw.reshape(-1) for dw in found])


def _move(params: list[Tensor], t: Any, d: Tensor) -> None:
    """``w += t d``."""
    start = 0
    for p in params:
        p.add_(d[start : start + p.numel()].view(p.shape), alpha=float(t))
        start += p.numel()
