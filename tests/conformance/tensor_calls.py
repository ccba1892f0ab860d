"""Calls for the names of ``torch`` itself, of ``torch.linalg`` and ``torch.Tensor``."""

from conformance import (
    counting_calls,
    creation_calls,
    index_calls,
    joining_calls,
    linalg_calls,
    making_calls,
    method_calls,
    native_calls,
    nn_calls,
    older_calls,
    pointwise_calls,
    product_calls,
    reduction_calls,
    sample_calls,
    shape_calls,
    special_calls,
)
from conformance.derived_calls import in_place, of_layers
from conformance.inputs import Table

CALLS = Table()
for family in (
    pointwise_calls,
    reduction_calls,
    counting_calls,
    shape_calls,
    joining_calls,
    index_calls,
    product_calls,
    creation_calls,
    linalg_calls,
    method_calls,
    special_calls,
    sample_calls,
    older_calls,
    native_calls,
    making_calls,
):
    for name, calls in family.CALLS.items():
        CALLS.add(name, calls)
for made in (in_place(CALLS), of_layers(nn_calls.CALLS)):
    for name, calls in made.items():
        CALLS.add(name, calls)
