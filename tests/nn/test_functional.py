"""gpunn.nn.functional is gpunn.functional, name by name."""

import gpunn.nn.functional as F
from gpunn import functional, nn


def test_hands_on_every_name_and_nothing_else():
    assert F.__all__ == functional.__all__
    assert all(getattr(F, name) is getattr(functional, name) for name in F.__all__)
    assert nn.functional is F
