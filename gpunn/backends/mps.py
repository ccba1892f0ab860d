"""The name under which PyTorch's scripts ask for Apple's GPUs; gpunn has no backend for them."""

__all__ = ["is_available", "is_built"]


def is_available() -> bool:
    """False."""
    return False


def is_built() -> bool:
    """False."""
    return False
