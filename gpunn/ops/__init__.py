"""Functions behind tensor syntax: families of differentiable operations on arrays."""
