"""What CUDA kernels do faster than the reference, one family a file; ``backend`` joins them."""
