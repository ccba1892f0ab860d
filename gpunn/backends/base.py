"""Backend: every primitive once, in plain array code over ``xp``. It is the reference.

A backend for a device subclasses it and overrides a method only where that device is faster; the
override is tested against the inherited method on the same device.
"""

from __future__ import annotations

from gpunn.backends.reference.activation import ActivationPrimitives
from gpunn.backends.reference.convolution import ConvolutionPrimitives
from gpunn.backends.reference.dropout import DropoutPrimitives
from gpunn.backends.reference.indices import IndexPrimitives
from gpunn.backends.reference.normalization import NormalizationPrimitives
from gpunn.backends.reference.optimizer import OptimizerPrimitives
from gpunn.backends.reference.padding import PaddingPrimitives
from gpunn.backends.reference.pooling import PoolingPrimitives
from gpunn.backends.reference.softmax import SoftmaxPrimitives


class Backend(
    ActivationPrimitives,
    ConvolutionPrimitives,
    DropoutPrimitives,
    IndexPrimitives,
    NormalizationPrimitives,
    OptimizerPrimitives,
    PaddingPrimitives,
    PoolingPrimitives,
    SoftmaxPrimitives,
):
    """The primitives of all families."""
