"""ParameterList and ParameterDict: order, names, texts; parity with PyTorch's."""

import copy
from collections import OrderedDict

import pytest
from parity import changed, same

import gpunn
from gpunn import nn


def _parameters(lib):
    values = [lib.ones(2), lib.nn.Parameter(lib.zeros(2, 3)), lib.tensor(1.0), 7]
    return lib.nn.ParameterList(values)


PARAMETER_LIST_CHANGES = [
    lambda lib, m: m[1:3],
    lambda lib, m: m[::-1],
    lambda lib, m: m[9],
    lambda lib, m: m.__setitem__(0, lib.zeros(5)),
    lambda lib, m: m.__setitem__(-1, lib.zeros(5)),
    lambda lib, m: m.__setitem__(9, lib.zeros(5)),
    lambda lib, m: m.append(lib.zeros(5)),
    lambda lib, m: m.extend([lib.zeros(5), lib.zeros(6)]),
    lambda lib, m: m.extend(lib.zeros(5)),
    lambda lib, m: m.extend(3),
    lambda lib, m: m(3),
]


@pytest.mark.parametrize("change", PARAMETER_LIST_CHANGES)
def test_parameter_list(change):
    changed(_parameters, change)


def test_parameter_list_reads_like_a_list():
    def scenario(lib):
        m = _parameters(lib)
        m += [lib.ones(1)]
        return len(m), list(m), m[-1], [n for n, _ in m.named_parameters()], m.state_dict()

    same(scenario)
    assert all(type(p) is nn.Parameter for p in _parameters(gpunn)[:3])
    assert repr(nn.ParameterList([gpunn.ones(2)])) == (
        "ParameterList(  (0): Parameter containing: [gpunn.float32 of size 2])"
    )


def _parameter_dict(lib):
    return lib.nn.ParameterDict({"b": lib.ones(2), "a": lib.nn.Parameter(lib.zeros(1)), "c": 3})


PARAMETER_DICT_CHANGES = [
    lambda lib, m: m.__setitem__("a", lib.ones(3)),
    lambda lib, m: m.__setitem__("z", lib.ones(3)),
    lambda lib, m: m.__setitem__("b", 3),
    lambda lib, m: m.__delitem__("a"),
    lambda lib, m: m.__delitem__("x"),
    lambda lib, m: m.clear(),
    lambda lib, m: m.copy(),
    lambda lib, m: m.update(OrderedDict(z=lib.ones(1), y=lib.ones(2))),
    lambda lib, m: m.update({"z": lib.ones(1), "y": lib.ones(2)}),
    lambda lib, m: m.update(lib.nn.ParameterDict({"z": lib.ones(1)})),
    lambda lib, m: m.update([("z", lib.ones(1))]),
    lambda lib, m: m.fromkeys(["p", "q"], lib.ones(1)),
    lambda lib, m: m | lib.nn.ParameterDict({"z": lib.ones(1)}),
    lambda lib, m: m.__ror__(lib.nn.ParameterDict({"z": lib.ones(1)})),
    lambda lib, m: m.__ior__(lib.nn.ParameterDict({"z": lib.ones(1)})),
    lambda lib, m: m(3),
]


@pytest.mark.parametrize("change", PARAMETER_DICT_CHANGES)
def test_parameter_dict(change):
    changed(_parameter_dict, change)


def test_parameter_dict_reads_like_a_dict():
    def scenario(lib):
        m = _parameter_dict(lib)
        return (
            list(m),
            list(reversed(m)),
            list(m.keys()),
            list(m.items()),
            list(m.values()),
            m.get("a"),
            m.get("x", 5),
            m.setdefault("a", 4),
            m.setdefault("n", lib.ones(1)),
            m.pop("a"),
            m.popitem(),
            len(m),
            "b" in m,
            m.state_dict(),
        )

    same(scenario)


def test_parameter_dict_mistakes():
    m = _parameter_dict(gpunn)
    for key, error in (("x", AttributeError), (3, TypeError)):
        with pytest.raises(error):
            m[key]
    with pytest.raises(TypeError, match="cannot be used as a key"):
        m[3] = gpunn.ones(1)  # type: ignore[index]
    assert len(m) == 3
    with pytest.raises(KeyError, match="dictionary is empty"):
        nn.ParameterDict().popitem()


@pytest.mark.parametrize("make", [_parameters, _parameter_dict])
def test_deep_copies(make):
    m = make(gpunn)
    twin = copy.deepcopy(m)
    assert repr(twin) == repr(m)
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in m.parameters()}
    assert twin.load_state_dict(m.state_dict()) == ([], [])
