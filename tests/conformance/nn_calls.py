"""Calls for the names of ``torch.nn.functional``, by family."""

from conformance import (
    attention_calls,
    convolution_calls,
    embedding_calls,
    functional_calls,
    image_calls,
    in_place_calls,
    linear_calls,
    linear_loss_calls,
    loss_calls,
    norm_calls,
    pooling_calls,
    unpooling_calls,
    upsample_calls,
)
from conformance.inputs import Table

CALLS = Table()
for family in (
    functional_calls,
    image_calls,
    convolution_calls,
    pooling_calls,
    norm_calls,
    linear_calls,
    embedding_calls,
    loss_calls,
    attention_calls,
    in_place_calls,
    unpooling_calls,
    upsample_calls,
    linear_loss_calls,
):
    for name, calls in family.CALLS.items():
        CALLS.add(f"nn.functional.{name}", calls)
