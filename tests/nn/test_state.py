"""state_dict and load_state_dict: keys, memory, PyTorch's report, all or nothing."""

import gc
import weakref
from collections import OrderedDict

import pytest
from models import net, scale
from parity import same

import gpunn
from gpunn import nn


def test_keys_their_order_and_metadata_are_pytorchs():
    same(lambda lib: net(lib).state_dict())
    same(lambda lib: net(lib).state_dict(prefix="model."))
    same(lambda lib: net(lib).state_dict()._metadata)
    same(lambda lib: net(lib).state_dict(destination={}))


def test_shared_parameters_stand_twice():
    m = nn.Sequential(scale(gpunn))
    m.append(m[0])
    assert list(m.state_dict()) == ["0.weight", "0.count", "1.weight", "1.count"]


def test_values_are_detached_and_alias_the_live_memory():
    m = scale(gpunn)
    state = m.state_dict()
    assert not state["weight"].requires_grad
    with gpunn.no_grad():
        m.weight.zero_()
    assert state["weight"].tolist() == [0.0, 0.0]
    assert m.state_dict(keep_vars=True)["weight"] is m.weight


def test_loading_copies_in_place_and_keeps_dtype():
    m = scale(gpunn).double()
    weight, array = m.weight, m.weight.data
    report = m.load_state_dict({"weight": gpunn.tensor([7.0, 8.0]), "count": gpunn.tensor(3)})
    assert m.weight is weight
    assert weight.data is array
    assert weight.dtype == gpunn.float64
    assert weight.tolist() == [7.0, 8.0]
    assert weight.requires_grad
    assert m.count.item() == 3
    assert repr(report) == str(report) == "<All keys matched successfully>"
    assert report == ([], [])


def test_loading_is_noticed_by_backward():
    m = scale(gpunn)
    y = m(gpunn.ones(2, requires_grad=True)).sum()
    m.load_state_dict(scale(gpunn).state_dict())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_loads_onto_every_device(device: str):
    m = scale(gpunn).to(device)
    m.load_state_dict({"weight": gpunn.tensor([7.0, 8.0]), "count": gpunn.tensor(3)})
    assert m.weight.device.type == device
    assert m.weight.cpu().tolist() == [7.0, 8.0]


STATES = {
    "missing": lambda lib: {"first.weight": lib.ones(2)},
    "empty": lambda lib: {},
    "unexpected": lambda lib: {**net(lib).state_dict(), "x": 1, "body.7.weight": 2, "first.y": 3},
    "not persistent": lambda lib: {**net(lib).state_dict(), "first.scratch": lib.ones(1)},
    "below a parameter": lambda lib: {**net(lib).state_dict(), "bias.x": lib.ones(1)},
    "shape": lambda lib: {**net(lib).state_dict(), "body.0.weight": lib.ones(3, 2)},
    "no tensor": lambda lib: {**net(lib).state_dict(), "body.0.weight": 3},
    "extra": lambda lib: {**net(lib).state_dict(), "first._extra_state": 3},
    "scalar": lambda lib: {**net(lib).state_dict(), "first.count": lib.tensor([4])},
    "all": lambda lib: {"first.weight": lib.ones(3), "bias": lib.ones(()), "x": lib.ones(1)},
    "no mapping": lambda lib: [1, 2],
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("make", STATES.values(), ids=STATES)
def test_the_report_is_pytorchs(make, strict):
    same(lambda lib: str(net(lib).load_state_dict(make(lib), strict)))


@pytest.mark.parametrize("make", STATES.values(), ids=STATES)
def test_a_refused_state_changes_nothing(make):
    m = net(gpunn)
    before = {k: v.tolist() for k, v in m.state_dict().items()}
    try:
        m.load_state_dict({**make(gpunn), "bias": gpunn.full((2,), 9.0)})
    except (RuntimeError, TypeError):
        assert {k: v.tolist() for k, v in m.state_dict().items()} == before
    else:
        assert m.bias.tolist() == [9.0, 9.0]


def test_loading_lets_go_of_the_values():
    m, state = nn.Sequential(nn.Linear(2, 2)), {"0.weight": gpunn.ones(2, 2)}
    value = weakref.ref(state["0.weight"])
    gc.disable()
    try:
        m.load_state_dict(state, strict=False)
        state.clear()
        assert value() is None
    finally:
        gc.enable()


def test_the_given_state_is_left_alone():
    state = net(gpunn).state_dict()
    keys, metadata = list(state), {k: dict(v) for k, v in state._metadata.items()}  # type: ignore[attr-defined]
    net(gpunn).load_state_dict(state, assign=True)
    assert list(state) == keys
    assert {k: dict(v) for k, v in state._metadata.items()} == metadata  # type: ignore[attr-defined]


def test_assign_takes_the_tensors_themselves():
    m, state = scale(gpunn), {"weight": gpunn.ones(2).double(), "count": gpunn.tensor(5)}
    m.load_state_dict(state, assign=True)
    assert type(m.weight) is nn.Parameter
    assert m.weight.data is state["weight"].data
    assert m.weight.dtype == gpunn.float64
    assert m.count is state["count"]
    m.requires_grad_(False)
    parameter = nn.Parameter(gpunn.zeros(2))
    m.load_state_dict({"weight": parameter, "count": gpunn.tensor(5)}, assign=True)
    assert m.weight is parameter
    assert not parameter.requires_grad


def test_a_failure_while_copying_names_the_parameter():
    m = scale(gpunn)
    m.weight.data.flags.writeable = False
    with pytest.raises(ValueError, match="read-only") as failure:
        m.load_state_dict(scale(gpunn).state_dict())
    assert failure.value.__notes__ == ['while copying the parameter named "weight"']


def test_extra_state_is_saved_and_given_back():
    def scenario(lib):
        class Extra(lib.nn.Module):
            def __init__(self, value):
                super().__init__()
                self.value = value

            def get_extra_state(self):
                return {"value": self.value}

            def set_extra_state(self, state):
                self.value = state["value"]

        state = lib.nn.Sequential(Extra(7)).state_dict()
        m = lib.nn.Sequential(Extra(0))
        report = m.load_state_dict(state)
        missing = m.load_state_dict({}, strict=False)
        return state, str(report), str(missing), m[0].value

    assert same(scenario)[-1] == 7


def _versioned(lib):
    """A module whose older states lack a key, as BatchNorm's do."""

    class Versioned(lib.nn.Module):
        _version = 2

        def __init__(self):
            super().__init__()
            self.register_buffer("steps", lib.tensor(0))

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
            version = local_metadata.get("version")
            if version is None or version < 2:
                state_dict.setdefault(prefix + "steps", lib.tensor(42))
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    return Versioned()


def test_a_class_may_amend_older_states():
    def scenario(lib):
        m = lib.nn.Sequential(_versioned(lib))
        old = OrderedDict()
        old._metadata = {"0": {"version": 1}}  # type: ignore[attr-defined]
        reports = [str(m.load_state_dict(old)), m[0].steps.item()]
        m[0].steps.zero_()
        reports += [str(m.load_state_dict({})), m[0].steps.item()]
        state = m.state_dict()
        del state["0.steps"]
        reports += [str(m.load_state_dict(state, strict=False))]
        return reports, m.state_dict()._metadata

    same(scenario)


def test_the_default_loads_at_once_when_called_by_hand():
    m = scale(gpunn)
    state = {"weight": gpunn.zeros(2), "count": gpunn.tensor(1)}
    m._load_from_state_dict(state, "", {}, True, [], [], [])
    assert m.weight.tolist() == [0.0, 0.0]


def test_hooks_around_state_dict():
    def scenario(lib):
        calls = []
        m = lib.nn.Sequential(scale(lib))
        m.register_state_dict_pre_hook(lambda *a: calls.append(("before", *a[1:])))
        m[0].register_state_dict_post_hook(
            lambda module, state, prefix, metadata: (
                state.pop(prefix + "count") and calls.append((prefix, dict(metadata)))
            )
        )
        handle = m.register_state_dict_post_hook(lambda m, state, *_: state.update(more=1))
        first = m.state_dict(keep_vars=True)
        handle.remove()
        return first, m.state_dict(), calls

    same(scenario)


def test_a_post_hook_must_return_none():
    def scenario(lib):
        m = scale(lib)
        m.register_state_dict_post_hook(lambda *a: 1)
        return m.state_dict()

    same(scenario)


def test_hooks_around_load_state_dict():
    def scenario(lib):
        calls = []
        m = lib.nn.Sequential(scale(lib))

        def before(module, state, prefix, metadata, strict, missing, unexpected, errors):
            calls.append((type(module).__name__, prefix, strict, list(state)))
            state[prefix + "weight"] = state.pop(prefix + "old")

        def after(module, keys):
            calls.append((type(module).__name__, module.weight.tolist(), list(keys)))
            keys.missing_keys.clear()

        m[0].register_load_state_dict_pre_hook(before)
        m[0].register_load_state_dict_post_hook(after)
        report = m.load_state_dict({"0.old": lib.tensor([8.0, 9.0])})
        return str(report), calls, m.state_dict()

    same(scenario)


def test_a_load_post_hook_must_return_none():
    def scenario(lib):
        m = scale(lib)
        m.register_load_state_dict_post_hook(lambda *a: 1)
        return m.load_state_dict(m.state_dict())

    same(scenario)


@pytest.mark.parametrize("with_module", [False, True])
def test_the_older_pre_hook_renames(with_module):
    def scenario(lib):
        class Renamed(lib.nn.Linear):
            def __init__(self):
                super().__init__(2, 2)
                self._register_load_state_dict_pre_hook(self.rename, with_module)

            def rename(self, *args):
                state, prefix = args[1:3] if with_module else args[:2]
                state[prefix + "weight"] = state.pop(prefix + "w")

        model = lib.nn.Sequential(Renamed())
        model.load_state_dict({"0.w": lib.ones(2, 2), "0.bias": lib.zeros(2)})
        return model.state_dict()

    same(scenario)
