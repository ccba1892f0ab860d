"""One layer at a time: its forward pass, and forward and backward together."""

import pytest

LAYERS = {
    "conv1d": (lambda nn: nn.Conv1d(32, 32, 9, padding=4), (16, 32, 1024)),
    "conv2d-rgb": (lambda nn: nn.Conv2d(3, 64, 3, padding=1), (8, 3, 64, 64)),
    "conv2d-3x3": (lambda nn: nn.Conv2d(64, 64, 3, padding=1), (8, 64, 32, 32)),
    "conv2d-1x1": (lambda nn: nn.Conv2d(64, 64, 1), (8, 64, 32, 32)),
    "conv2d-strided": (lambda nn: nn.Conv2d(64, 128, 3, stride=2, padding=1), (8, 64, 32, 32)),
    "conv2d-depthwise": (lambda nn: nn.Conv2d(64, 64, 3, padding=1, groups=64), (8, 64, 32, 32)),
    "max_pool2d-2x2": (lambda nn: nn.MaxPool2d(2), (16, 64, 32, 32)),
    "max_pool2d-3x3-s2": (lambda nn: nn.MaxPool2d(3, 2, 1), (16, 64, 32, 32)),
    "avg_pool2d-2x2": (lambda nn: nn.AvgPool2d(2), (16, 64, 32, 32)),
    "linear": (lambda nn: nn.Linear(1024, 1024), (256, 1024)),
}


@pytest.fixture(params=LAYERS)
def case(request):
    return LAYERS[request.param]


def test_forward(benchmark, target, case):
    make, shape = case
    layer = make(target.lib.nn).to(target.device)
    x = target.lib.randn(*shape, device=target.device)
    with target.lib.no_grad():
        benchmark(target.finished(lambda: layer(x)))


def test_forward_backward(benchmark, target, case):
    make, shape = case
    layer = make(target.lib.nn).to(target.device)
    x = target.lib.randn(*shape, device=target.device, requires_grad=True)
    dy = target.lib.randn_like(layer(x).detach())
    benchmark(target.finished(lambda: layer(x).backward(dy)))
