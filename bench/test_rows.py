"""The rows and the sweeps under pytest-benchmark, on each framework and device at hand."""

import pytest

from bench.measure import works


@pytest.fixture(params=works().items(), ids=lambda item: item[0])
def case(request):
    return request.param[1]


def test_row(benchmark, target, case):
    benchmark(target.finished(case(target.lib, target.device)))
