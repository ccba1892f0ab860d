"""How scripts choose a device without naming one."""

import pytest

import gpunn as torch


def chosen():
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator().type
    return "mps" if torch.backends.mps.is_available() or torch.backends.mps.is_built() else "cpu"


@pytest.mark.usefixtures("no_driver")
def test_without_a_device():
    assert chosen() == "cpu"
    assert torch.accelerator.current_accelerator() is None
    assert torch.accelerator.device_count() == 0


@pytest.mark.usefixtures("cuda")
def test_with_a_device():
    assert chosen() == "cuda"
    assert torch.accelerator.current_accelerator(check_available=True) == torch.device("cuda")
    assert torch.accelerator.device_count() == torch.cuda.device_count()
    torch.accelerator.set_device_index(0)
    assert torch.accelerator.current_device_index() == 0
    torch.accelerator.synchronize()


def test_names_are_those_of_pytorch():
    theirs = pytest.importorskip("torch").accelerator
    assert [n for n in torch.accelerator.__all__ if not callable(getattr(theirs, n))] == []
