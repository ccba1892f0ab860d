"""Programs to run and to read: ``python -m gpunn.examples.mnist``."""
