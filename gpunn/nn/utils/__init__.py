"""Helpers around training: gradients clipped, weights reparametrized, layers fused."""

from gpunn.missing import refuse_others as _refuse_others
from gpunn.nn.utils import parametrizations, parametrize, rnn, stateless
from gpunn.nn.utils.clip_grad import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from gpunn.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from gpunn.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from gpunn.nn.utils.init import skip_init
from gpunn.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from gpunn.nn.utils.weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "stateless",
    "vector_to_parameters",
    "weight_norm",
]

_refuse_others(globals())
