"""Layers as functions: PyTorch's ``torch.nn.functional``."""

__all__: list[str] = []
