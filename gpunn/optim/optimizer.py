"""Optimizer: parameter groups, state, and the step over them; no update rule."""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, ClassVar, TypeAlias

from gpunn.autograd.grad_mode import enable_grad, no_grad
from gpunn.autograd.quiet import quiet
from gpunn.backends import Backend, type2backend
from gpunn.device import device
from gpunn.optim.hooks import Hooked, hooked
from gpunn.optim.hooks import register_optimizer_step_post_hook as register_optimizer_step_post_hook
from gpunn.optim.hooks import register_optimizer_step_pre_hook as register_optimizer_step_pre_hook
from gpunn.optim.state import alike, placed
from gpunn.tensor import Tensor

Params: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
Group: TypeAlias = dict[str, Any]


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


# The default of an option that has none: each parameter group has to give it.
required: Any = _Required()


class Optimizer(Hooked):
    """The base of all optimizers.

    ``params`` are tensors, ``(name, tensor)`` pairs, or dicts that each make a parameter group:
    ``[{"params": layer.parameters(), "lr": 0.1}, ...]``; what a group does not say comes from
    ``defaults``. A subclass writes ``_update``, or ``step`` of its own.

    Raises TypeError or ValueError if there is no parameter, or one that is no leaf tensor.
    """

    _counted: ClassVar[str] = "params and state_steps"  # what ``capturable`` wants on a device

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = hooked(cls.step)

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {params.type()}; give a list: [parameter]"
            )
        super().__init__()
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        given: list[Any] = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own, as when layers are unfrozen in training."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = dict(param_group)
        params, names = _listed(group["params"])
        group["params"] = params
        if names is not None:
            group["param_names"] = names
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}"
                )
            if not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for key, value in self.defaults.items():
            if group.setdefault(key, value) is required:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{key}"
                )
        if len(set(params)) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each of them is "
                "updated several times in a step",
                UserWarning,
                stacklevel=3,
            )
        if self.param_groups and ("param_names" in self.param_groups[0]) != (
            "param_names" in group
        ):
            kind = "with" if "param_names" in group else "without"
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{kind} names to the optimizer"
            )
        if not set(params).isdisjoint(chain(*(g["params"] for g in self.param_groups))):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    # One step -------------------------------------------------------------------------------

    @hooked
    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        ``closure``, if given, computes the loss anew, with its gradients; its value is returned.
        Raises AssertionError, as PyTorch does, for ``capturable`` parameters on the CPU.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with quiet():
            for group in self.param_groups:
                for where, params in _batches(group["params"]):
                    backend = type2backend[type(params[0].data)]
                    if where.type == "cpu" and group.get("capturable"):
                        raise AssertionError(
                            f"If capturable=True, {self._counted} must be on supported devices: "
                            "['cuda']. Leave it out on the CPU"
                        )
                    with backend.on(where):
                        self._update(backend, params, group)
                        if backend.capturing():
                            self._leave_to_replays(backend, params, group)
                    for p in params:
                        p._version_box[0] += 1
        return loss

    def _leave_to_replays(self, backend: Backend, params: list[Tensor], group: Group) -> None:
        """Have the step just captured in a CUDA graph counted by each replay, and not now."""
        gradients = [p.grad for p in params]
        for p in params:
            if "step" in self.state[p]:
                self.state[p]["step"].data -= 1

        def repeat() -> None:
            for p, gradient in zip(params, gradients, strict=True):
                p.grad = gradient  # the graph writes there
                p._version_box[0] += 1
            self._update(backend, params, group)

        backend.before_replays(repeat)

    def _update(self, backend: Backend, params: list[Tensor], group: Group) -> None:
        """Change the data of ``params``, all of one device, in place by their gradients."""
        raise NotImplementedError(
            f"{type(self).__name__} must define _update(backend, params, group), or step(closure)"
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients: None, or with ``set_to_none=False`` zeros in the same memory."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if set_to_none:
                    p.grad = None
                else:
                    if p.grad.grad_fn is not None:
                        p.grad = p.grad.detach()
                    p.grad.requires_grad_(False).zero_()

    # State ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, parameters named by their position: PyTorch's layout.

        ``{"state": {0: {...}}, "param_groups": [{"lr": ..., "params": [0]}]}``. The tensors are
        the live ones: save or copy them before the next step.
        """
        for hook in self._called("before state_dict"):
            hook(self)
        index: dict[Tensor, int] = {}
        groups: list[Group] = []
        for group in self.param_groups:
            for p in group["params"]:
                index.setdefault(p, len(index))
            options = {key: value for key, value in group.items() if key != "params"}
            groups.append({**options, "params": [index[p] for p in group["params"]]})
        state = {
            index[key] if isinstance(key, Tensor) else key: values
            for key, values in self.state.items()
        }
        found: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._called("after state_dict"):
            found = hook(self, found) or found
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over copies of the state and the options in ``state_dict``.

        Parameters are matched by position; their state goes to their dtype and device. Raises
        ValueError, with nothing changed, if the groups do not match.
        """
        for hook in self._called("before load"):
            state_dict = hook(self, dict(state_dict)) or state_dict
        saved: list[Group] = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups "
                f"({len(saved)}; the optimizer has {len(self.param_groups)})"
            )
        for i, (old, new) in enumerate(zip(self.param_groups, saved, strict=True)):
            if len(old["params"]) != len(new["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    f"optimizer's group (group {i}: {len(new['params'])} parameters, the "
                    f"optimizer's has {len(old['params'])})"
                )
        params: dict[Any, Tensor] = {}
        for old, new in zip(self.param_groups, saved, strict=True):
            params.update(zip(new["params"], old["params"], strict=True))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, values in state_dict["state"].items():
            if key in params:
                p = params[key]
                state[p] = {name: placed(name, value, p) for name, value in values.items()}
            else:
                state[key] = copy.deepcopy(values)
        groups: list[Group] = []
        for old, new in zip(self.param_groups, saved, strict=True):
            group = {"params": old["params"], **self.defaults}
            if "param_names" in old:
                group["param_names"] = old["param_names"]
            options = {key: value for key, value in new.items() if key != "params"}
            groups.append({**group, **copy.deepcopy(options)})
        self.state, self.param_groups = state, groups
        for hook in self._called("after load"):
            hook(self)

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(
                f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"
            )
        return text + ")"


def _batches(params: list[Tensor]) -> Iterable[tuple[device, list[Tensor]]]:
    """The parameters that have a gradient, in lists: of one device each, and none twice."""
    ready = [p for p in params if p.grad is not None]
    where = [p.device for p in ready]
    if len({id(p) for p in ready}) < len(ready):  # duplicates are updated one after another
        return [(d, [p]) for d, p in zip(where, ready, strict=True)]
    return alike(ready, where)


def _listed(params: Any) -> tuple[list[Tensor], list[str] | None]:
    """A group's parameters, and their names if it has them."""
    if isinstance(params, Tensor):
        return [params], None
    if isinstance(params, (set, frozenset)):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of "
            "tensors in sets will change between runs. Please use a list instead."
        )
    listed: list[Any] = list(params)
    named = [isinstance(p, tuple) for p in listed]
    if not any(named):
        return listed, None
    if not all(named):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    return [p for _, p in listed], [name for name, _ in listed]
