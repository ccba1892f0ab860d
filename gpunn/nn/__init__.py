"""Layers as modules, which hold parameters and call ``gpunn.functional``."""

__all__: list[str] = []
