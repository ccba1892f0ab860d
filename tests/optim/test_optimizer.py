"""Optimizer: groups, gradients that are missing, closures, hooks, state."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
from typing import Any

import pytest
from parity import same

import gpunn
from gpunn import nn
from gpunn.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from gpunn.optim.optimizer import required


def parameter(*size: int) -> gpunn.Tensor:
    return gpunn.ones(*size or (2,), requires_grad=True)


def stepped(optimizer: Any, grad: float = 1.0) -> Any:
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = gpunn.full(p.shape, grad)
    optimizer.step()
    return optimizer


# Parameters and groups ----------------------------------------------------------------------


def test_an_option_without_a_default():
    class Descent(Optimizer):
        def __init__(self, params: Any, lr: float = required) -> None:
            super().__init__(params, {"lr": lr})

    with pytest.raises(ValueError, match="didn't specify a value of required optimization param"):
        Descent([parameter()])
    assert Descent([{"params": [parameter()], "lr": 0.5}]).param_groups[0]["lr"] == 0.5
    assert repr(required) == "<required parameter>"


def test_groups_take_defaults_for_what_they_do_not_say():
    a, b = parameter(), parameter()
    optimizer = SGD([{"params": a, "lr": 3.0}, {"params": [b], "momentum": 0.5}], lr=0.1)
    assert [(g["lr"], g["momentum"]) for g in optimizer.param_groups] == [(3.0, 0), (0.1, 0.5)]
    stepped(optimizer)
    assert a.tolist() == [-2, -2]
    assert b.tolist() == pytest.approx([0.9, 0.9])
    assert list(optimizer.state) == [b]  # SGD without momentum keeps nothing


def test_the_given_dict_is_not_changed():
    given = {"params": [parameter()]}
    SGD([given])
    assert list(given) == ["params"]


def test_a_generator_and_a_module():
    model = nn.Module()
    model.weight = nn.Parameter(gpunn.ones(2))
    stepped(SGD(model.parameters(), lr=1.0))
    assert model.weight.tolist() == [0, 0]


def test_named_parameters():
    a, b = parameter(), parameter()
    optimizer = SGD([("a", a), ("b", b)])
    assert optimizer.param_groups[0]["param_names"] == ["a", "b"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": parameter()})
    with pytest.raises(ValueError, match="Some param names are missing"):
        SGD([("a", a), b])
    optimizer.load_state_dict(SGD([parameter(), parameter()], lr=7.0).state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["a", "b"]
    assert optimizer.param_groups[0]["lr"] == 7


@pytest.mark.parametrize(
    ("params", "kind", "text"),
    [
        ([], ValueError, "optimizer got an empty parameter list"),
        (parameter(), TypeError, "params argument given to the optimizer should be an iterable of "
         "Tensors or dicts, but got gpunn.FloatTensor"),
        ([parameter() * 2], ValueError, "can't optimize a non-leaf Tensor"),
        ([1], TypeError, "optimizer can only optimize Tensors, but one of the params is int"),
        ([{"params": {parameter()}}], TypeError, "optimizer parameters need to be organized"),
        ([{"lr": 1}], KeyError, "'params'"),
        ([parameter(), {"params": parameter()}], TypeError, "but one of the params is dict"),
    ],
)  # fmt: skip
def test_refuses_parameters(params: Any, kind: type[Exception], text: str):
    with pytest.raises(kind) as error:
        SGD(params)
    assert text in str(error.value)


def test_refuses_groups():
    p = parameter()
    optimizer = SGD([p])
    with pytest.raises(TypeError, match="param_group must be a dict, but got <class 'list'>"):
        optimizer.add_param_group([parameter()])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optimizer.add_param_group({"params": [p]})
    assert len(optimizer.param_groups) == 1


def test_warns_of_duplicates_and_updates_them_twice():
    p = parameter()
    with pytest.warns(UserWarning, match="a parameter group with duplicate parameters"):
        optimizer = SGD([p, p], lr=0.25)
    assert optimizer.state_dict()["param_groups"][0]["params"] == [0, 0]
    stepped(optimizer)
    assert p.tolist() == [0.5, 0.5]


def test_a_group_added_later_is_numbered_on():
    optimizer = SGD([parameter(), parameter()])
    optimizer.add_param_group({"params": parameter()})
    assert [g["params"] for g in optimizer.state_dict()["param_groups"]] == [[0, 1], [2]]


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSprop])
def test_has_pytorchs_arguments_and_repr(kind: Any):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, kind.__name__)
    a, b = inspect.signature(kind).parameters, inspect.signature(theirs).parameters
    assert [(p.name, p.default, p.kind) for p in a.values()] == [
        (p.name, p.default, p.kind) for p in b.values()
    ]
    assert repr(kind([gpunn.ones(1)])) == repr(theirs([torch.ones(1)]))


# Steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSprop])
def test_parameters_without_gradient_are_skipped(kind: Any):
    a, b = parameter(), parameter()
    optimizer = kind([a, b], weight_decay=0.5)
    a.grad = gpunn.ones(2)
    optimizer.step()
    assert a.tolist() != [1, 1]
    assert b.tolist() == [1, 1]
    assert b not in optimizer.state


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSprop])
@pytest.mark.parametrize("maximize", [False, True])
def test_gradients_are_only_read(kind: Any, maximize: bool):
    p = parameter()
    p.grad = gpunn.tensor([3.0, -2.0])
    optimizer = kind([p], weight_decay=0.5, maximize=maximize)
    optimizer.step()
    optimizer.step()
    assert p.grad.tolist() == [3.0, -2.0]


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSprop])
def test_minimises(kind: Any):
    target = gpunn.tensor([3.0, -1.0])
    p = parameter()
    optimizer = kind([p], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        ((p - target) ** 2).sum().backward()
        optimizer.step()
    assert gpunn.allclose(p, target, atol=0.05)


def test_a_step_is_an_in_place_change():
    p = parameter()
    y = (p * p).sum()
    version = p._version
    p.grad = gpunn.ones(2)
    SGD([p]).step()
    assert p._version > version
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_step_records_nothing():
    p = parameter()
    p.grad = gpunn.ones(2, requires_grad=True) * 2
    optimizer = Adam([p])
    optimizer.step()
    assert p.is_leaf
    assert p.requires_grad
    assert not any(t.requires_grad for t in optimizer.state[p].values())


def test_closure():
    p = parameter()
    optimizer = SGD([p], lr=0.5)

    @gpunn.no_grad()
    def run() -> Any:
        def closure() -> gpunn.Tensor:
            optimizer.zero_grad()
            loss = (p * p).sum()
            loss.backward()
            return loss

        return optimizer.step(closure)

    assert run().item() == 2
    assert p.tolist() == [0, 0]
    assert optimizer.step() is None


def test_zero_grad():
    p = parameter()
    optimizer = SGD([p])
    optimizer.zero_grad()
    p.grad = (p * p).detach()
    memory = p.grad.data
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.data is memory
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_zero_grad_cuts_a_recorded_gradient():
    p = parameter()
    (p**3).sum().backward(create_graph=True)
    assert p.grad is not None
    assert p.grad.requires_grad
    SGD([p]).zero_grad(set_to_none=False)
    assert not p.grad.requires_grad
    assert p.grad.tolist() == [0, 0]


def test_infinite_gradients_raise_no_warning():
    p = parameter()
    p.grad = gpunn.tensor([float("inf"), 1e30])
    optimizer = Adam([p])
    optimizer.step()
    assert p.isnan().tolist() == [True, False]


# Hooks and optimizers of users' own -------------------------------------------------------------


def test_hooks():
    seen: list[str] = []
    optimizer = SGD([parameter()])
    pre = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("pre"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("post"))
    optimizer.step()
    pre.remove()
    optimizer.step()
    assert seen == ["pre", "post", "post"]


def test_a_hook_may_change_the_arguments():
    optimizer = SGD([parameter()])
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((*args, lambda: 5), {}))
    assert optimizer.step() == 5


def test_hooks_see_the_arguments_that_pytorchs_see():
    torch = pytest.importorskip("torch")
    seen: dict[str, Any] = {}
    for lib in (gpunn, torch):
        calls = seen[lib.__name__] = []

        def look(o: Any, args: Any, kwargs: Any, calls: list[Any] = calls) -> None:
            calls.append((args[0] is o, len(args), list(kwargs)))

        optimizer = lib.optim.SGD([lib.zeros(2, requires_grad=True)])
        optimizer.register_step_pre_hook(look)
        optimizer.register_step_post_hook(look)
        optimizer.step()
        optimizer.step(lambda: 1)
        optimizer.step(closure=lambda: 1)
    assert seen["gpunn"] == seen["torch"]


def test_a_number_as_text_is_refused():
    with pytest.raises(TypeError, match="not supported between instances of 'str'"):
        SGD([parameter()], lr="1e-3")  # pyright: ignore[reportArgumentType]


def test_the_state_of_another_model_is_refused():
    other, mine = gpunn.ones(3, requires_grad=True), parameter()
    theirs, optimizer = Adam([other]), Adam([mine])
    other.grad, mine.grad = gpunn.ones(3), gpunn.ones(2)
    theirs.step()
    optimizer.load_state_dict(theirs.state_dict())
    with pytest.raises(RuntimeError, match=r"exp_avg is \[3\] on cpu, but its parameter is \[2\]"):
        optimizer.step()


def test_a_hook_must_return_arguments_or_none():
    optimizer = SGD([parameter()])
    optimizer.register_step_pre_hook(lambda o, args, kwargs: args)
    with pytest.raises(
        RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs"
    ):
        optimizer.step()


def test_hooks_run_once_around_a_step_that_calls_its_base():
    class Twice(SGD):
        def step(self, closure: Any = None) -> Any:
            super().step()
            return super().step(closure)

    seen: list[Any] = []
    p = parameter()
    optimizer = Twice([p], lr=0.25)
    optimizer.register_step_post_hook(lambda *args: seen.append(args))
    stepped(optimizer)
    assert p.tolist() == [0.5, 0.5]
    assert len(seen) == 1


def test_an_optimizer_of_a_users_own():
    class SignSGD(Optimizer):
        def __init__(self, params: Any, lr: float = 0.5) -> None:
            super().__init__(params, {"lr": lr})

        @gpunn.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    p -= group["lr"] * p.grad.sign()
                    self.state[p]["steps"] = self.state[p].get("steps", 0) + 1

    p = parameter()
    optimizer = stepped(SignSGD([p]), grad=-3.0)
    assert p.tolist() == [1.5, 1.5]
    assert optimizer.state_dict()["state"] == {0: {"steps": 1}}


def test_an_optimizer_without_a_rule():
    class Nothing(Optimizer):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must define _update"):
        stepped(Nothing([parameter()], {}))


# State ------------------------------------------------------------------------------------------


def test_state_dict_has_pytorchs_layout():
    a, b = parameter(), parameter()
    optimizer = Adam([{"params": [a]}, {"params": [b], "lr": 0.5}])
    assert optimizer.state_dict()["state"] == {}
    stepped(optimizer)
    state = optimizer.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert [g["params"] for g in state["param_groups"]] == [[0], [1]]
    assert list(state["state"][1]) == ["step", "exp_avg", "exp_avg_sq"]
    step = state["state"][1]["step"]
    assert (step.item(), step.shape, step.dtype) == (1, (), gpunn.float32)


def test_loading_copies():
    a, b = parameter(), parameter()
    first, second = stepped(Adam([a])), Adam([b])
    second.load_state_dict(first.state_dict())
    before = first.state[a]["exp_avg"].tolist(), first.state[a]["step"].item()
    stepped(second)
    assert (first.state[a]["exp_avg"].tolist(), first.state[a]["step"].item()) == before
    first.param_groups[0]["lr"] = 9
    assert second.param_groups[0]["lr"] != 9


def test_loading_casts_state_to_the_parameter_but_not_the_step():
    saved = stepped(Adam([parameter()])).state_dict()
    p = gpunn.ones(2, dtype=gpunn.float64, requires_grad=True)
    optimizer = Adam([p])
    optimizer.load_state_dict(saved)
    assert optimizer.state[p]["exp_avg"].dtype is gpunn.float64
    assert optimizer.state[p]["step"].dtype is gpunn.float32


def test_loading_reads_a_plain_number_for_the_step():
    p = parameter()
    optimizer = stepped(Adam([p]))
    saved = optimizer.state_dict()
    saved["state"][0]["step"] = 4
    optimizer.load_state_dict(saved)
    assert optimizer.state[p]["step"].item() == 4
    stepped(optimizer)
    assert optimizer.state[p]["step"].item() == 5


def test_loading_fills_in_options_of_newer_versions():
    optimizer = Adam([parameter()])
    saved = optimizer.state_dict()
    del saved["param_groups"][0]["maximize"]
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["maximize"] is False


def test_adamw_stays_decoupled():
    optimizer = AdamW([parameter()])
    optimizer.load_state_dict(Adam([parameter()]).state_dict())
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def test_loading_refuses_other_groups_and_changes_nothing():
    a, b = parameter(), parameter()
    optimizer = SGD([{"params": [a]}, {"params": [b]}], lr=0.5)
    with pytest.raises(ValueError, match="loaded state dict has a different number of parameter g"):
        optimizer.load_state_dict(SGD([parameter()]).state_dict())
    other = SGD([{"params": [parameter()]}, {"params": [parameter(), parameter()]}], lr=9.0)
    with pytest.raises(
        ValueError,
        match="loaded state dict contains a parameter group that doesn't match the size of "
        "optimizer's group",
    ):
        optimizer.load_state_dict(other.state_dict())
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.5]


def test_state_that_is_no_parameters_is_kept():
    optimizer = SGD([parameter()])
    saved = optimizer.state_dict()
    saved["state"]["note"] = {"x": [1]}
    optimizer.load_state_dict(saved)
    assert optimizer.state_dict()["state"] == {"note": {"x": [1]}}


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_carry_parameters_and_state(clone: Any):
    optimizer = stepped(Adam([parameter()], lr=0.25))
    other = clone(optimizer)
    (p,), (q,) = optimizer.param_groups[0]["params"], other.param_groups[0]["params"]
    assert p is not q
    stepped(optimizer)
    stepped(other)
    assert p.tolist() == q.tolist()
    assert list(other.state) == [q]


# Hooks on the state, and on every optimizer --------------------------------------------------


def test_hooks_see_the_state_and_may_change_it():
    def scenario(t: Any) -> Any:
        log: list[Any] = []
        optimizer = t.optim.SGD([t.ones(2, requires_grad=True)], lr=0.5, momentum=0.5)
        optimizer.register_state_dict_pre_hook(lambda o: log.append(o is optimizer))
        optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1})
        optimizer.register_state_dict_post_hook(lambda o, state: log.append(sorted(state)))
        optimizer.register_state_dict_post_hook(
            lambda o, state: log.append(sorted(state)), prepend=True
        )
        state = optimizer.state_dict()
        optimizer.register_load_state_dict_pre_hook(lambda o, state: {**state, "read": log})
        optimizer.register_load_state_dict_pre_hook(lambda o, state: log.append(sorted(state)))
        optimizer.register_load_state_dict_post_hook(lambda o: log.append("loaded"))
        optimizer.register_load_state_dict_post_hook(lambda o: log.append("removed")).remove()
        optimizer.load_state_dict(state)
        return log, sorted(state)

    same(scenario)


def test_hooks_on_the_steps_of_all():
    def scenario(t: Any) -> Any:
        log: list[Any] = []
        at = importlib.import_module(f"{t.__name__}.optim.optimizer")
        before = at.register_optimizer_step_pre_hook(lambda o, args, kw: log.append("before any"))
        after = at.register_optimizer_step_post_hook(lambda o, args, kw: log.append("after any"))
        optimizer = t.optim.SGD([t.ones(2, requires_grad=True)], lr=0.5)
        optimizer.register_step_pre_hook(lambda o, args, kw: log.append("before"))
        optimizer.register_step_post_hook(lambda o, args, kw: log.append("after"))
        optimizer.step()
        before.remove()
        after.remove()
        optimizer.step()
        return log

    same(scenario)


def test_gradients_are_zeroed_where_they_lie():
    def scenario(t: Any) -> Any:
        p = t.ones(2, requires_grad=True)
        optimizer = t.optim.SGD([p], lr=0.5)
        (p * p).sum().backward()
        dp = p.grad
        optimizer.zero_grad(set_to_none=False)
        return p.grad is dp, dp

    same(scenario)
