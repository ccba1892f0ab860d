"""Optimizer: parameter groups, state, and the step over them; no update rule."""

from __future__ import annotations

import copy
import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, ClassVar, TypeAlias, cast

from gpunn.autograd import steps
from gpunn.autograd.grad_mode import enable_grad, no_grad
from gpunn.autograd.quiet import quiet
from gpunn.autograd.variable import Array, RemovableHandle, wrap
from gpunn.backends import Backend, type2backend
from gpunn.creation import zeros
from gpunn.device import device
from gpunn.dtype import float32, float64, get_default_dtype
from gpunn.tensor import Tensor

Params: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
Group: TypeAlias = dict[str, Any]


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` between the optimizer's hooks, once also where it calls ``super().step()``."""

    @functools.wraps(step)
    def wrapped(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:
            return step(self, *args, **kwargs)
        given: tuple[Any, ...] = (self, *args)  # as PyTorch has it
        for hook in list(self._pre_hooks.values()):
            changed: Any = hook(self, given, kwargs)
            if changed is None:
                continue
            if type(changed) is not tuple or len(cast("tuple[Any, ...]", changed)) != 2:
                raise RuntimeError(
                    f"{type(self).__name__}'s step pre-hook must return None or a tuple of "
                    f"(new_args, new_kwargs), but got {changed}."
                )
            given, kwargs = cast("tuple[Any, Any]", changed)
        self._stepping = True
        try:
            result = step(*given, **kwargs)
        finally:
            self._stepping = False
        for hook in list(self._post_hooks.values()):
            hook(self, given, kwargs)
        self._stepped = True  # a scheduler asks
        steps.note(self, self.param_groups)
        return result

    return wrapped


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


# The default of an option that has none: each parameter group has to give it.
required: Any = _Required()


class Optimizer:
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
            cls.step = _hooked(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {params.type()}; give a list: [parameter]"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._pre_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._post_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._stepping = self._stepped = False
        given: list[Any] = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own, as when layers are unfrozen in training."""
        if not isinstance(param_group, dict):  # type: ignore[redundant-expr]
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = dict(param_group)
        params, names = _listed(group["params"])
        group["params"] = params
        if names is not None:
            group["param_names"] = names
        for p in params:
            if not isinstance(p, Tensor):  # type: ignore[redundant-expr]
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

    @_hooked
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
                    p.grad = p.grad.detach()
                    p.grad.zero_()

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new
        ``(args, kwargs)``. The first of ``args`` is the optimizer, as in PyTorch."""
        return RemovableHandle.add(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return RemovableHandle.add(self._post_hooks, hook)

    # State ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, parameters named by their position: PyTorch's layout.

        ``{"state": {0: {...}}, "param_groups": [{"lr": ..., "params": [0]}]}``. The tensors are
        the live ones: save or copy them before the next step.
        """
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
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over copies of the state and the options in ``state_dict``.

        Parameters are matched by position; their state goes to their dtype and device. Raises
        ValueError, with nothing changed, if the groups do not match.
        """
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
                state[p] = {name: _placed(name, value, p) for name, value in values.items()}
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
    if len(set(ready)) < len(ready):  # duplicates are updated one after another
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


def _placed(name: str, value: Any, p: Tensor) -> Any:
    """A copy of one saved value, where the parameter lies; the count of steps stays on the CPU."""
    if name == "step":
        return value.detach().cpu().clone() if isinstance(value, Tensor) else _counter(value)
    if isinstance(value, Tensor):
        value = value.detach()
        dtype = p.dtype if p.is_floating_point() else value.dtype
        return value.to(p.device, dtype, copy=True)
    if isinstance(value, list):  # LBFGS has lists of tensors
        return [_placed("", each, p) for each in cast("list[Any]", value)]
    return copy.deepcopy(value)


def _counter(value: float = 0) -> Tensor:
    """A count of steps: a float tensor on the CPU, as PyTorch keeps it."""
    wide = get_default_dtype() == float64
    return zeros((), dtype=float64 if wide else float32) + value


def data_of(params: list[Tensor]) -> tuple[list[Array], list[Array]]:
    """The arrays of parameters, and of their gradients."""
    return [p.data for p in params], [p.grad.data for p in params if p.grad is not None]


def slots(
    states: Mapping[Tensor, dict[str, Any]],
    name: str,
    params: list[Tensor],
    shape: tuple[int, ...] | None = None,
) -> list[Array]:
    """The arrays ``name`` of the parameters' states, of their ``shape`` or that of the parameters.

    Zeros at first. Raises RuntimeError if one has another shape or device than it should have now.
    """
    arrays: list[Array] = []
    for p in params:
        state = states[p]
        if name not in state:
            backend = type2backend[type(p.data)]
            if backend.capturing():  # each replay would begin with zeros
                raise RuntimeError(
                    f"the optimizer's {name} is made in its first step, which cannot be captured "
                    "in a CUDA graph: call step() once before the capture"
                )
            if shape is None:
                state[name] = wrap(backend.zeros_like(p.data))
            else:
                state[name] = p.new_zeros(shape)
        array = state[name].data
        if array.shape != (p.data.shape if shape is None else shape) or type(array) is not type(
            p.data
        ):
            kept = state[name]
            raise RuntimeError(
                f"the optimizer's {name} is {list(kept.shape)} on {kept.device}, but its parameter "
                f"is {list(p.shape)} on {p.device}: load the state_dict of the same model, and "
                "after moving a model load optimizer.state_dict() back, which moves the state along"
            )
        arrays.append(array)
    return arrays


def count_step(state: dict[str, Any]) -> float:
    """One more step in a parameter's state; how many there are now."""
    if "step" not in state:
        state["step"] = _counter()
    step = state["step"].data
    step += 1
    return step.item()


def alike(params: list[Tensor], keys: list[Any]) -> Iterable[tuple[Any, list[Tensor]]]:
    """The parameters of each key."""
    together: dict[Any, list[Tensor]] = {}
    for p, key in zip(params, keys, strict=True):
        together.setdefault(key, []).append(p)
    return together.items()


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options outside their range, in PyTorch's words (ValueError, RuntimeError)."""
    check_rate(options["lr"], "Invalid learning rate")
    for key, title in _NOT_NEGATIVE.items():
        if key in options and not options[key] >= 0:
            raise ValueError(f"Invalid {title}: {options[key]}")
    if options.get("foreach") and options.get("fused"):
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if options.get("differentiable"):
        raise ValueError(
            "differentiable=True is not supported: the optimizers change parameters in place and "
            "record nothing; write the update as tensor operations instead"
        )
    for i, beta in enumerate(options.get("betas", ())):
        if not 0 <= beta < 1:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")


def check_rate(lr: float | Tensor, text: str) -> None:
    """Refuse a learning rate below 0 with ``text``, and one of several elements (ValueError)."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0:
        raise ValueError(f"{text}: {lr}")


_NOT_NEGATIVE = {
    "eps": "epsilon value",
    "momentum": "momentum value",
    "weight_decay": "weight_decay value",
    "alpha": "alpha value",
}
