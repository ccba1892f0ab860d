"""The rows and the sweeps under pytest-benchmark, on each framework and device at hand."""

import pytest

from bench.rows import makes


@pytest.mark.parametrize("case", makes())
def test_row(benchmark, target, case):
    benchmark(target.work(case))
