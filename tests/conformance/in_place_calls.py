"""Calls for the activations of ``torch.nn.functional`` that write where they read."""

from __future__ import annotations

from conformance.calls import call
from conformance.inputs import F32, Table, array
from conformance.native_calls import given

CALLS = Table()
LEAF = [call(array(3)), call(array(3, dtype=F32)[None]), call(2.0), call(None)]
CALLS.add("relu_ selu_ elu_ celu_ leaky_relu_ hardtanh_ rrelu_", given() + LEAF)
CALLS.add("elu_ celu_ leaky_relu_", given(0.5) + given(-0.5)[:1])
CALLS.add("celu_", given(0.0)[:1])
CALLS.add("hardtanh_", given(-0.5, 0.3))
CALLS.add("rrelu_", given(0.2, 0.4) + given(0.5, 0.2)[:5])
CALLS.add("threshold_", given(0.1, 2.0) + given(1, 0) + [call(array(3), 0.1, 1.0)])
