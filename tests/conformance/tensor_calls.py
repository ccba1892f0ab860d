"""Calls for the names of ``torch`` itself."""

from conformance import pointwise_calls, product_calls, reduction_calls, shape_calls
from conformance.inputs import Table

CALLS = Table()
for family in (pointwise_calls, reduction_calls, shape_calls, product_calls):
    for name, calls in family.CALLS.items():
        CALLS.add(name, calls)
