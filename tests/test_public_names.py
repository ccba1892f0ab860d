"""The public names of each namespace: sorted, complete, and really there."""

import importlib
import inspect
from types import ModuleType

import pytest

NAMESPACES = [
    "gpunn",
    "gpunn.accelerator",
    "gpunn.autograd",
    "gpunn.cuda",
    "gpunn.data",
    "gpunn.functional",
    "gpunn.nn",
    "gpunn.nn.utils",
    "gpunn.optim",
    "gpunn.optim.lr_scheduler",
    "gpunn.serialization",
    "gpunn.special",
]


@pytest.fixture(params=NAMESPACES)
def namespace(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_names_are_sorted_and_unique(namespace: ModuleType):
    assert namespace.__all__ == sorted(set(namespace.__all__))


def test_every_name_exists(namespace: ModuleType):
    assert [name for name in namespace.__all__ if not hasattr(namespace, name)] == []


def test_no_public_name_is_missing(namespace: ModuleType):
    """Whatever a namespace shows without an underscore, a submodule aside, is in `__all__`."""
    shown = {
        name
        for name, value in vars(namespace).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert sorted(shown - set(namespace.__all__)) == []


def test_every_function_and_class_is_documented(namespace: ModuleType):
    public = {name: getattr(namespace, name) for name in namespace.__all__}
    silent = [
        name
        for name, value in public.items()
        if (inspect.isclass(value) or inspect.isroutine(value)) and not value.__doc__
    ]
    assert silent == []
