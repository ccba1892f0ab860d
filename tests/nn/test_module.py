"""Module: attributes, the tree, moving and casting, printing; parity with PyTorch's."""

import copy
import pickle

import pytest
from models import net, scale
from parity import same

import gpunn
from gpunn import nn

# Attributes ---------------------------------------------------------------------------------


def test_assignment_registers():
    def scenario(lib):
        m = net(lib)
        return (
            list(m._parameters),
            list(m._modules),
            list(m.first._buffers),
            sorted(m.first._non_persistent_buffers_set),
        )

    names = same(scenario)
    assert names == [["bias", "absent"], ["first", "body"], ["count", "scratch"], ["scratch"]]


def test_reassignment_changes_the_kind():
    def scenario(lib):
        m = lib.nn.Module()
        m.x = 1
        m.x = lib.nn.Parameter(lib.zeros(1))
        kinds = [(list(m._parameters), list(m._modules), "x" in m.__dict__)]
        m.x = None
        kinds.append((list(m._parameters), m.x))
        del m.x
        m.x = lib.nn.Module()
        kinds.append((list(m._parameters), list(m._modules), "x" in m.__dict__))
        m.x = None
        kinds.append((list(m._modules), m.x))
        m.y = lib.nn.Buffer(lib.zeros(1), persistent=False)
        m.y = lib.ones(1)
        kinds.append((list(m._buffers), sorted(m._non_persistent_buffers_set)))
        m.y = lib.nn.Parameter(lib.zeros(1))
        kinds.append((list(m._buffers), sorted(m._non_persistent_buffers_set)))
        del m.y, m.x
        kinds.append((list(m._parameters), list(m._modules)))
        return kinds

    same(scenario)


def _before_init(lib, value):
    class Early(lib.nn.Module):
        def __init__(self):
            self.x = value(lib)

    return Early()


MISTAKES = [
    lambda lib: _before_init(lib, lambda lib: lib.nn.Module()),
    lambda lib: _before_init(lib, lambda lib: lib.nn.Parameter(lib.zeros(1))),
    lambda lib: _before_init(lib, lambda lib: lib.nn.Buffer(lib.zeros(1))),
    lambda lib: scale(lib).foo,
    lambda lib: delattr(scale(lib), "foo"),
    lambda lib: setattr(scale(lib), "weight", 3),
    lambda lib: setattr(scale(lib), "weight", lib.zeros(2)),
    lambda lib: setattr(scale(lib), "count", 3),
    lambda lib: setattr(net(lib), "first", 3),
    lambda lib: setattr(net(lib), "first", lib.zeros(2)),
    lambda lib: scale(lib).register_parameter("count", None),
    lambda lib: scale(lib).register_parameter("forward", None),
    lambda lib: scale(lib).register_parameter("a.b", None),
    lambda lib: scale(lib).register_parameter("", None),
    lambda lib: scale(lib).register_parameter(3, None),
    lambda lib: scale(lib).register_parameter("w", lib.zeros(2)),
    lambda lib: scale(lib).register_buffer("weight", lib.zeros(2)),
    lambda lib: scale(lib).register_buffer("a.b", lib.zeros(2)),
    lambda lib: scale(lib).register_buffer("", lib.zeros(2)),
    lambda lib: scale(lib).register_buffer(None, lib.zeros(2)),
    lambda lib: scale(lib).register_buffer("b", "text"),
    lambda lib: scale(lib).add_module("weight", None),
    lambda lib: scale(lib).add_module("a.b", None),
    lambda lib: scale(lib).add_module("", None),
    lambda lib: scale(lib).add_module(3, None),
    lambda lib: scale(lib).register_module("m", 3),
    lambda lib: lib.nn.Module()(1),
    lambda lib: lib.nn.Module().train("yes"),
    lambda lib: net(lib).get_submodule("body.7"),
    lambda lib: net(lib).get_submodule("bias"),
    lambda lib: net(lib).get_parameter("first.count"),
    lambda lib: net(lib).get_parameter("first.other"),
    lambda lib: net(lib).get_buffer("first.weight"),
    lambda lib: net(lib).get_buffer("first.other"),
    lambda lib: net(lib).to(lib.int32),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_pytorchs_words(mistake):
    assert isinstance(same(mistake), tuple), "the scenario raised nothing"


def test_a_parameter_must_be_a_leaf():
    weight = nn.Parameter(gpunn.ones(2))
    product = weight * 2
    product.__class__ = nn.Parameter
    with pytest.raises(ValueError, match="Cannot assign non-leaf Tensor to parameter 'w'"):
        nn.Module().w = product


def test_dir_lists_what_is_registered():
    names = dir(net(gpunn))
    assert {"bias", "first", "body", "forward"} <= set(names)
    assert "0" not in dir(net(gpunn).body)
    assert names == sorted(names)


# The tree -----------------------------------------------------------------------------------


def _shared(lib):
    m = net(lib)
    m.again = m.first
    m.body.append(m.first)
    m.tied = m.bias
    return m


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("make", [net, _shared])
def test_names_and_their_order(make, unique):
    same(lambda lib: [n for n, _ in make(lib).named_modules(remove_duplicate=unique)])
    same(lambda lib: [n for n, _ in make(lib).named_parameters(remove_duplicate=unique)])
    same(lambda lib: [n for n, _ in make(lib).named_buffers(remove_duplicate=unique)])
    same(lambda lib: [n for n, _ in make(lib).named_parameters("p", False)])
    same(lambda lib: [n for n, _ in make(lib).named_modules(prefix="p")])
    same(lambda lib: [n for n, _ in make(lib).named_children()])


def test_shared_parameters_are_listed_once():
    m = _shared(gpunn)
    assert len(list(m.parameters())) == len({id(p) for p in m.parameters()}) == 4
    assert len(list(m.modules())) == 5
    assert [type(c).__name__ for c in m.children()] == ["Scale", "Sequential"]
    assert len(list(m.parameters(recurse=False))) == 1
    assert len(list(m.buffers())) == 6


def test_getting_by_path():
    m = net(gpunn)
    assert m.get_submodule("") is m
    assert m.get_submodule("body.1") is m.body[1]
    assert m.get_parameter("body.1.weight") is m.body[1].weight
    assert m.get_buffer("first.count") is m.first.count


def test_apply_visits_children_first():
    def scenario(lib):
        seen = []
        m = net(lib)
        assert m.apply(lambda module: seen.append(type(module).__name__)) is m
        return seen

    same(scenario)


def test_train_and_eval_reach_everything():
    m = net(gpunn)
    assert m.eval() is m
    assert not any(module.training for module in m.modules())
    m.body.train()
    assert [module.training for module in m.modules()] == [False, False, True, True, True]


def test_requires_grad_and_zero_grad():
    m = net(gpunn)
    assert m.requires_grad_(False) is m
    assert not any(p.requires_grad for p in m.parameters())
    m.requires_grad_()
    m(gpunn.ones(2)).sum().backward()
    kept = m.bias.grad
    m.zero_grad(set_to_none=False)
    assert m.bias.grad is kept
    assert all(p.grad is not None and p.grad.tolist() == [0, 0] for p in m.parameters())
    m.zero_grad()
    assert all(p.grad is None for p in m.parameters())


def test_zero_grad_cuts_gradients_from_their_graph():
    m = scale(gpunn)
    (m(gpunn.ones(2)) ** 2).sum().backward(create_graph=True)
    assert m.weight.grad is not None
    assert m.weight.grad.requires_grad
    m.zero_grad(set_to_none=False)
    assert m.weight.grad.tolist() == [0.0, 0.0]
    assert not m.weight.grad.requires_grad


# Moving and casting -------------------------------------------------------------------------


def test_casts_only_floating_point_and_keeps_identity():
    m = net(gpunn)
    m(gpunn.ones(2)).sum().backward()
    before = dict(m.named_parameters())
    assert m.to(gpunn.float64) is m
    after = dict(m.named_parameters())
    assert all(after[name] is p for name, p in before.items())
    for p in after.values():
        assert p.dtype == gpunn.float64
        assert p.grad is not None
        assert p.grad.dtype == gpunn.float64
    assert m.first.count.dtype == gpunn.int64
    assert m.first.scratch.dtype == gpunn.float64


@pytest.mark.parametrize(
    "cast",
    [
        lambda lib, m: m.double(),
        lambda lib, m: m.half(),
        lambda lib, m: m.double().float(),
        lambda lib, m: m.type(lib.float64),
        lambda lib, m: m.to("cpu", lib.float16),
        lambda lib, m: m.to(lib.zeros(1, dtype=lib.float64)),
        lambda lib, m: m.to(device="cpu", dtype=lib.float64),
        lambda lib, m: m.cpu(),
    ],
)
def test_casts_are_pytorchs(cast):
    same(lambda lib: cast(lib, scale(lib)).state_dict())


def test_nothing_changes_where_nothing_is_to_change():
    m = scale(gpunn)
    array = m.weight.data
    m.to("cpu", gpunn.float32)
    assert m.weight.data is array


def test_a_cast_between_forward_and_backward_is_noticed():
    m = scale(gpunn)
    x = gpunn.ones(2, requires_grad=True)
    y = m(x).sum()
    m.double()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_an_optimizer_made_before_a_cast_goes_on():
    m = scale(gpunn)
    optimizer = gpunn.optim.SGD(m.parameters(), lr=0.5)
    m.double()
    m(gpunn.ones(2, dtype=gpunn.float64)).sum().backward()
    optimizer.step()
    assert m.weight.tolist() == [1.5, 2.5]
    assert m.weight.dtype == gpunn.float64


def test_moves_to_every_device(device: str):
    m = net(gpunn)
    weight = m.first.weight
    m.to(device)
    assert m.first.weight is weight
    assert {t.device.type for t in [*m.parameters(), *m.buffers()]} == {device}
    y = m(gpunn.ones(2, device=device))
    y.sum().backward()
    assert weight.grad is not None
    assert weight.grad.device == weight.device
    m.cpu()
    assert weight.grad.device == weight.device == gpunn.device("cpu")


# Copies and printing ------------------------------------------------------------------------


class Holder(nn.Module):
    """At module level, so that it can be pickled."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(gpunn.tensor([1.0, 2.0]))
        self.b = self.a
        self.inner = nn.Sequential(nn.Module())
        self.register_buffer("n", gpunn.tensor(3), persistent=False)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_independent(again):
    m = Holder()
    twin = again(m)
    assert twin.a is twin.b
    assert twin.a is not m.a
    with gpunn.no_grad():
        twin.a.zero_()
    assert m.a.tolist() == [1.0, 2.0]
    assert list(twin.state_dict()) == list(m.state_dict())
    assert twin.n.item() == 3
    assert repr(twin) == repr(m)


def test_repr_is_pytorchs():
    same(lambda lib: repr(lib.nn.Module()))
    same(lambda lib: repr(scale(lib)))
    same(lambda lib: repr(net(lib)))

    def scenario(lib):
        class Both(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.a = lib.nn.Module()
                self.b = None
                self.add_module("c", None)

            def extra_repr(self):
                return "one,\ntwo"

        return repr(Both())

    same(scenario)


def test_forward_is_called_with_all_arguments():
    def scenario(lib):
        m = scale(lib)
        return m(lib.ones(2), shift=1), m(lib.ones(2), 2)

    same(scenario)


def test_a_subclass_may_wrap_the_call():
    def scenario(lib):
        class Counts(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.calls = 0

            def __call__(self, *args):
                self.calls += 1
                return super().__call__(*args)

            def forward(self, x):
                return x + self.calls

        m = lib.nn.Sequential(Counts(), Counts())
        return m(1), m(1), m[0](1), m[0].calls, m[1].calls

    same(scenario)


def test_warnings_of_numpy_are_off_inside_and_on_again_outside():
    import numpy

    class Silent(nn.Module):
        def forward(self, x):
            numpy.log(numpy.zeros(1))  # would warn, and warnings are errors here
            return x.log()

    assert Silent()(gpunn.zeros(1)).item() == -float("inf")
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        numpy.log(numpy.zeros(1))


@pytest.mark.parametrize("act", [
    lambda nn, s: s.set_submodule("1.0", nn.Tanh()),
    lambda nn, s: s.set_submodule("7", nn.Tanh()),
    lambda nn, s: s.set_submodule("", nn.Tanh()),
    lambda nn, s: s.set_submodule("1.5", nn.Tanh(), strict=True),
    lambda nn, s: s.set_submodule("1.0", nn.Tanh(), strict=True),
    lambda nn, s: s.set_submodule("9.5", nn.Tanh()),
    lambda nn, s: s.set_submodule("0", 3),
    lambda nn, s: s.set_submodule("0.weight", nn.Tanh()),
    lambda nn, s: s.to_empty(device="cpu") is s,
    lambda nn, s: s.share_memory() is s,
])  # fmt: skip
def test_tree_changes_as_pytorch(act):
    def scenario(lib):
        model = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.Sequential(lib.nn.ReLU()))
        return act(lib.nn, model), repr(model)

    same(scenario)


def test_to_empty(device):
    layer = nn.BatchNorm1d(3)
    weight = layer.weight
    assert layer.to_empty(device=device).running_mean.device.type == device
    assert layer.weight is weight
    assert weight.shape == (3,)
    assert layer.compile() is None
