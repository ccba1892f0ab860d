"""The CUDA kernels as their reader meets them: which there are, and one's own in place of one.

``python -m gpunn.kernels`` lists them; ``python -m gpunn.kernels check mine.cu`` proves a file.
The sources themselves, ``*.cu``, lie beside this file in an installed package, and in ``kernels/``
in a checkout.
"""

from gpunn.backends.sources import catalogue, folder, override

__all__ = ["catalogue", "folder", "override"]
