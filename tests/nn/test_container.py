"""Containers of modules: order, names, slices, texts; parity with PyTorch's."""

import copy
from collections import OrderedDict

import pytest
from models import scale
from parity import changed, same, shown

import gpunn
from gpunn import nn


def _row(lib, n=4):
    return lib.nn.Sequential(*[scale(lib, float(i)) for i in range(n)])


def _list(lib, n=4):
    return lib.nn.ModuleList([scale(lib, float(i)) for i in range(n)])


def _named(lib):
    parts = [("a", scale(lib, 0.0)), ("b", scale(lib, 1.0)), ("c", scale(lib, 2.0))]
    return lib.nn.Sequential(OrderedDict(parts))


ROW_CHANGES = [
    lambda lib, m: m[0],
    lambda lib, m: m[-1],
    lambda lib, m: m[3],
    lambda lib, m: m[9],
    lambda lib, m: m[-9],
    lambda lib, m: m["0"],
    lambda lib, m: m[1:3],
    lambda lib, m: m[::-1],
    lambda lib, m: m[5:],
    lambda lib, m: m.__setitem__(1, scale(lib, 9.0)),
    lambda lib, m: m.__setitem__(-1, scale(lib, 9.0)),
    lambda lib, m: m.__setitem__(9, scale(lib, 9.0)),
    lambda lib, m: m.__setitem__(1, 3),
    lambda lib, m: m.__delitem__(1),
    lambda lib, m: m.__delitem__(-1),
    lambda lib, m: m.__delitem__(slice(0, 2)),
    lambda lib, m: m.__delitem__(slice(None, None, 2)),
    lambda lib, m: m.__delitem__(9),
    lambda lib, m: m.pop(1),
    lambda lib, m: m.pop(-1),
    lambda lib, m: m.pop(slice(1, 3)),
    lambda lib, m: m.append(scale(lib, 9.0)),
    lambda lib, m: m.append("text"),
    lambda lib, m: m.extend([scale(lib, 8.0), scale(lib, 9.0)]),
    lambda lib, m: m.insert(1, scale(lib, 9.0)) and None,
    lambda lib, m: m.insert(0, scale(lib, 9.0)) and None,
    lambda lib, m: m.insert(len(m), scale(lib, 9.0)) and None,
]


@pytest.mark.parametrize("change", ROW_CHANGES)
@pytest.mark.parametrize("make", [_row, _list])
def test_rows(make, change):
    changed(make, change)


SEQUENTIAL_CHANGES = [
    lambda lib, m: m[1:],
    lambda lib, m: m[-1],
    lambda lib, m: m.append(scale(lib, 9.0)),
    lambda lib, m: m.__setitem__(1, scale(lib, 9.0)),
    lambda lib, m: m + _row(lib, 2),
    lambda lib, m: m + 3,
    lambda lib, m: m * 2,
    lambda lib, m: 2 * m,
    lambda lib, m: m * 0,
    lambda lib, m: m * 1.5,
    lambda lib, m: m.insert(9, scale(lib, 9.0)),
]


@pytest.mark.parametrize("change", SEQUENTIAL_CHANGES)
@pytest.mark.parametrize("make", [_row, _named])
def test_sequential(make, change):
    changed(make, change)


def test_sequential_in_place_operators():
    def scenario(lib):
        m = _row(lib, 2)
        m += _row(lib, 1)
        m *= 2
        return shown(m)

    same(scenario)


def test_a_sequential_extends_itself():
    m = _row(gpunn, 2)
    m += m
    assert list(m._modules) == ["0", "1", "2", "3"]
    assert m[2] is m[0]


def test_insert_counts_from_the_end_as_a_list_does():
    for make in (_row, _list):
        m = make(gpunn, 3)
        assert m.insert(-1, scale(gpunn, 9.0)) is m
        assert [layer.weight.tolist()[0] for layer in m] == [0.0, 1.0, 9.0, 2.0]
        with pytest.raises(IndexError, match="Index out of range: 9"):
            m.insert(9, scale(gpunn))
        with pytest.raises(TypeError, match="int is not a Module subclass"):
            m.insert(0, 3)  # type: ignore[arg-type]


def test_sequential_calls_one_after_the_other():
    same(lambda lib: (_named(lib)(lib.ones(2)), lib.nn.Sequential()(3), len(_row(lib)[:2])))


def test_sequential_wants_modules():
    same(lambda lib: lib.nn.Sequential(scale(lib), "text"))
    same(lambda lib: lib.nn.Sequential([scale(lib)]))


def test_names_give_attributes():
    m = _named(gpunn)
    assert m.b is m[1]
    assert list(m[1:].state_dict()) == ["b.weight", "b.count", "c.weight", "c.count"]


def test_module_list_repr_folds_equal_neighbours():
    def scenario(lib):
        equal = [scale(lib) for _ in range(3)]
        nested = [lib.nn.Sequential(scale(lib)) for _ in range(2)]
        m = lib.nn.ModuleList([*equal, scale(lib, 5.0), *nested, scale(lib)])
        return repr(lib.nn.Sequential(m, lib.nn.ModuleList()))

    assert "(0-2): 3 x Scale(value=2.0)" in same(scenario)


LIST_CHANGES = [
    lambda lib, m: m + iter([scale(lib, 7.0)]),
    lambda lib, m: m.extend(3),
    lambda lib, m: m.extend(_list(lib, 2)),
    lambda lib, m: m(3),
]


@pytest.mark.parametrize("change", LIST_CHANGES)
def test_module_list(change):
    changed(_list, change)


def test_module_list_adds_in_place():
    m = _list(gpunn, 1)
    m += [scale(gpunn, 3.0)]
    m += m
    assert [layer.weight.tolist()[0] for layer in m] == [0.0, 3.0, 0.0, 3.0]
    assert len(m) == 4
    assert m[0] in list(m)


# Under keys ---------------------------------------------------------------------------------


def _dict(lib):
    return lib.nn.ModuleDict({"b": scale(lib, 0.0), "a": scale(lib, 1.0)})


DICT_CHANGES = [
    lambda lib, m: m["a"],
    lambda lib, m: m["x"],
    lambda lib, m: m.__setitem__("a", scale(lib, 9.0)),
    lambda lib, m: m.__setitem__("c", scale(lib, 9.0)),
    lambda lib, m: m.__setitem__("a.b", scale(lib, 9.0)),
    lambda lib, m: m.__setitem__("keys", scale(lib, 9.0)),
    lambda lib, m: m.__setitem__("c", 3),
    lambda lib, m: m.__delitem__("b"),
    lambda lib, m: m.__delitem__("x"),
    lambda lib, m: m.pop("b"),
    lambda lib, m: m.pop("x"),
    lambda lib, m: m.clear(),
    lambda lib, m: m.update({"z": scale(lib, 8.0), "y": scale(lib, 9.0)}),
    lambda lib, m: m.update([("z", scale(lib, 8.0)), ["y", scale(lib, 9.0)]]),
    lambda lib, m: m.update(lib.nn.ModuleDict({"z": scale(lib, 8.0)})),
    lambda lib, m: m.update(3),
    lambda lib, m: m.update([("z", scale(lib, 8.0), 3)]),
    lambda lib, m: m(3),
]


@pytest.mark.parametrize("change", DICT_CHANGES)
def test_module_dict(change):
    changed(_dict, change)


def test_module_dict_reads_like_a_dict():
    def scenario(lib):
        m = _dict(lib)
        return (
            list(m),
            list(m.keys()),
            [k for k, _ in m.items()],
            len(m),
            "a" in m,
            "x" in m,
            [repr(v) for v in m.values()],
            m.state_dict(),
        )

    same(scenario)


def test_update_wants_pairs():
    with pytest.raises(TypeError, match="update sequence element #0 should be Iterable; is int"):
        nn.ModuleDict([3])  # type: ignore[list-item]


@pytest.mark.parametrize("make", [_row, _list, _dict])
def test_deep_copies(make):
    m = make(gpunn)
    twin = copy.deepcopy(m)
    assert repr(twin) == repr(m)
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in m.parameters()}
    assert twin.load_state_dict(m.state_dict()) == ([], [])
