"""An error inside a model says in which layer, once, by the path from the model called."""

import copy
import pickle
import traceback

import numpy
import pytest

import gpunn
from gpunn import nn


class Fails(nn.Module):
    def forward(self, x):
        raise ValueError("no")


class Block(nn.Module):
    """Holds its layers in containers that are not called themselves."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.ModuleDict({"good": nn.Sequential(), "bad": Fails()})])

    def forward(self, x):
        return self.layers[0]["bad"](self.layers[0]["good"](x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Sequential(), nn.Sequential(nn.Sequential(), Block()))

    def forward(self, x):
        return self.features(x)


def notes(model, *args):
    with pytest.raises(Exception) as failure:  # noqa: PT011
        model(*args)
    return failure.value.__notes__


def test_the_path_leads_from_the_outermost_to_the_innermost():
    assert notes(Model(), 1) == ["in features.1.1.layers.0.bad (Fails)"]


def test_a_module_called_alone_is_named_by_its_class():
    assert notes(Fails(), 1) == ["in Fails"]


def test_the_part_that_is_called_is_where_the_path_begins():
    assert notes(Model().features[1], 1) == ["in 1.layers.0.bad (Fails)"]


def test_an_error_of_an_operation():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(gpunn.ones(3, 4))

        def forward(self, x):
            return x @ self.weight

    model = nn.Sequential(Product(), Product())
    assert notes(model, gpunn.ones(2, 3)) == ["in 1 (Product)"]


def test_an_error_in_a_hook():
    model = nn.Sequential(nn.Sequential())
    model[0].register_forward_pre_hook(lambda module, args: 1 / 0)
    assert notes(model, 1) == ["in 0 (Sequential)"]


def test_the_note_is_shown_below_the_error():
    with pytest.raises(ValueError, match="no") as failure:
        Model()(1)
    lines = traceback.format_exception_only(failure.value)
    assert lines == ["ValueError: no\n", "in features.1.1.layers.0.bad (Fails)\n"]


def test_notes_of_others_stay():
    class Noted(nn.Module):
        def forward(self, x):
            error = ValueError("no")
            error.add_note("first")
            raise error

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Noted()

        def forward(self, x):
            try:
                return self.inner(x)
            except ValueError as error:
                error.add_note("last")
                raise

    assert notes(Outer(), 1) == ["first", "in inner (Noted)", "last"]


def test_a_module_that_is_not_registered_is_named_by_its_class():
    class Hides(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = [Block()]

        def forward(self, x):
            return self.hidden[0](x)

    assert notes(nn.Sequential(Hides()), 1) == ["in 0.<Block>.layers.0.bad (Fails)"]


def test_a_module_that_calls_itself_is_one_step():
    class Recursive(nn.Module):
        def forward(self, x):
            return 1 / 0 if x == 0 else self(x - 1)

    assert notes(nn.Sequential(Recursive()), 3) == ["in 0 (Recursive)"]


def test_another_error_raised_on_the_way_has_a_path_of_its_own():
    class Translates(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Fails()

        def forward(self, x):
            try:
                return self.inner(x)
            except ValueError as error:
                raise KeyError("other") from error

    with pytest.raises(KeyError) as failure:
        nn.Sequential(Translates())(1)
    assert failure.value.__notes__ == ["in 0 (Translates)"]
    assert failure.value.__cause__.__notes__ == ["in Fails"]  # type: ignore[union-attr]


def test_an_interrupt_is_no_error():
    class Interrupted(nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as failure:
        nn.Sequential(Interrupted())(1)
    assert not hasattr(failure.value, "__notes__")


def test_errors_with_a_path_can_be_pickled_and_copied():
    with pytest.raises(ValueError, match="no") as failure:
        Model()(1)
    for again in (pickle.loads(pickle.dumps(failure.value)), copy.deepcopy(failure.value)):
        assert again.__notes__ == ["in features.1.1.layers.0.bad (Fails)"]


def test_a_failure_leaves_no_trace_in_the_model():
    model, before = Model(), numpy.geterr()
    assert notes(model, 1) == notes(model, 1)
    assert numpy.geterr() == before
