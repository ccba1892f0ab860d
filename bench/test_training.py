"""A whole step of training: the CNN of the README, one batch forward, backward and updated."""

import pytest


@pytest.fixture(params=[64, 256], ids=["batch-64", "batch-256"])
def case(request):
    return request.param


def test_lenet_step(benchmark, target, case):
    lib, nn, device = target.lib, target.lib.nn, target.device
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 32, 10),
    ).to(device)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = lib.rand(case, 1, 28, 28, device=device)
    labels = lib.randint(0, 10, (case,), device=device)

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    benchmark(target.finished(step))
