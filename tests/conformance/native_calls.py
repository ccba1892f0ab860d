"""Calls for the functions of layers that ``torch`` itself has, and for its functions in place."""

from __future__ import annotations

import numpy as np
from conformance.calls import Call, call
from conformance.inputs import F16, F32, F64, I64, Table, array, strided, unary, whole

CALLS = Table()
# In place: of what is a leaf, and so refused, and of what is none.
WHOLE = (
    "abs_ ceil_ fix_ floor_ frac_ neg_ negative_ relu_ round_ square_ trunc_ zero_ conj_physical_"
)
CALLS.add(WHOLE, unary())
CALLS.add("acos_ asin_ atanh_ arccos_ arcsin_ arctanh_", unary(-0.9, 0.9))
CALLS.add("acosh_ arccosh_", unary(1.1, 4))
CALLS.add("arcsinh_ arctan_ asinh_ atan_ cos_ cosh_ deg2rad_ erf_ erfc_ exp2_ exp_", unary())
CALLS.add("expm1_ i0_ nan_to_num_ rad2deg_ sigmoid_ sin_ sinc_ sinh_ tan_ tanh_", unary()[-6:])
CALLS.add("expm1_ i0_ nan_to_num_ rad2deg_ sigmoid_ sin_ sinc_ sinh_ tan_ tanh_", unary()[:6])
CALLS.add("log10_ log1p_ log2_ log_ reciprocal_ rsqrt_ sqrt_", unary(0.1, 4))
CALLS.add("logit_", unary(0.1, 0.9))
CALLS.add("abs_ exp_ clamp_ fill_ zero_", [call(2.0), call(None)])
F32_INPUTS = [
    array(3, 4, dtype=F32),
    strided(3, 4, dtype=F32),
    array(dtype=F32),
    array(0, 3, dtype=F32),
    array(3, dtype=F16),
    array(3, dtype=I64),
]


def given(*args: object, **options: object) -> list[Call]:
    return [call(x, *args, **options) for x in F32_INPUTS]


CALLS.add("clamp_ clip_", given(-0.5, 0.5)[:5] + given(min=0.1)[:5] + given(max=1) + given())
CALLS.add("clamp_min_ clamp_max_", given(0.3)[:5] + given(1) + given())
CALLS.add("fill_", given(2.5) + given(np.array(1.5, F32)))
CALLS.add("detach_", [*given(), call(array(3)), call(array(3, dtype="bool")), call(1), call([])])
CALLS.add("xlogy_ ldexp_", given(2) + given(np.array(1.5, F32))[:5])
CALLS.add("gcd_ lcm_", whole(-2, 3))
M = array(3, 4, dtype=F32)
CALLS.add(
    "addmv_",
    [
        call(M[:, 0].copy(), M, array(4, dtype=F32)),
        call(M[:, 0].copy(), M, array(4, dtype=F32), beta=0.5, alpha=2),
        call(array(3), M, array(4)),
        call(M[:, 0].copy(), M, array(3, dtype=F32)),
        call(M[:, 0].copy(), M, 2),
        call(M[:, 0].astype(F16), M.astype(F16), array(4, dtype=F16)),
        call(array(3, dtype=I64), array(3, 4, dtype=I64), array(4, dtype=I64)),
        call(M[:0, 0].copy(), M[:0], array(4, dtype=F32)),
        call(M[:, 0].copy(), strided(3, 4, dtype=F32), array(4, dtype=F32), beta=0),
        call(M[:, 0].copy(), M[:, :0].copy(), M[0, :0].copy()),
    ],
)
CALLS.add(
    "index_put_",
    [
        call(M, (np.array([0, 2]),), np.array(1.5, F32)),
        call(M, (np.array([0, 0]), np.array([1, 1])), array(2, dtype=F32), True),
        call(M, (M > 0,), np.array(0.0, F32)),
        call(M, (np.array([7]),), np.array(1.5, F32)),
        call(array(3), (np.array([1]),), np.array(1.5)),
        call(M, (np.array([-1]),), array(4, dtype=F32)),
        call(M, (np.zeros(0, I64),), array(0, 4, dtype=F32)),
        call(strided(3, 4, dtype=F32), (np.array([1]), np.array([2])), np.array(9.0, F32)),
        call(array(3, dtype=I64), (np.array([1]),), np.array(7)),
        call(M, (np.array([0]),), array(3, dtype=F32)),
    ],
)
SHAPES = (2, 3), (12,), (3, 4), (0,), (1, 1), (), (2, 0)
CALLS.add("resize_as_", [call(M, array(*shape)) for shape in SHAPES])
CALLS.add("resize_as_", [call(array(3), array(2)), call(M, 3), call(array(6, dtype=I64), array(2))])
CALLS.add("get_device is_inference is_distributed typename", given())
ODD = [call(array(2, dtype=d)) for d in ("bool", "uint8", "int8", "int16")]
CALLS.add("get_device is_inference is_distributed typename", ODD)
CALLS.add("typename", [call(3), call("x"), call(len), call(int), call(None), call([1])])
# Activations ----------------------------------------------------------------------------------

CALLS.add("selu_", given() + unary()[-6:])
CALLS.add("celu_", given() + given(0.5) + given(alpha=0.0)[:5])
CALLS.add("threshold_", given(0.1, 2.0) + given(1, 0))
CALLS.add("rrelu_", given() + given(0.2, 0.4) + given(0.5, 0.2)[:5])
# Normalization --------------------------------------------------------------------------------

IMAGES, W, B = array(4, 3, 5), array(3, seed=1), array(3, seed=2)
MEAN, VAR = array(3, dtype=F64) * 0.1, array(3, low=0.5, high=2)
MOVED = MEAN.astype(F32), VAR.astype(F32)
for name in ("batch_norm", "instance_norm"):
    CALLS.add(
        name,
        [
            call(IMAGES, W, B, None, None, True, 0.1, 1e-5, True),
            call(IMAGES, None, None, None, None, True, 0.1, 1e-5, False),
            call(IMAGES.astype(F32), W.astype(F32), None, *MOVED, True, 0.1, 1e-5, True),
            call(IMAGES.astype(F32), W.astype(F32), None, *MOVED, False, 0.1, 1e-3, True),
            call(array(4, 3, 2, 2), W, B, None, None, True, 0.1, 1e-5, True),
            call(strided(4, 3, 5), W, B, None, None, True, 0.1, 1e-5, True),
            call(IMAGES, W, B),
        ],
    )
CALLS.add("batch_norm", [call(array(4, 3), W, B, None, None, True, 0.1, 1e-5, True)])
CALLS.add("batch_norm", [call(array(4, 3), W, B, None, None, False, 0.1, 1e-5, True)])
CALLS.add(
    "layer_norm",
    [
        call(IMAGES, (5,)),
        call(IMAGES, (3, 5), array(3, 5, seed=1), array(3, 5, seed=2), 1e-3, False),
        call(IMAGES, (5,), cudnn_enable=True),
        call(IMAGES.astype(F32), [5]),
        call(strided(4, 3, 5), (5,)),
        call(IMAGES, (4,)),
        call(IMAGES, ()),
    ],
)
CALLS.add(
    "group_norm",
    [
        call(IMAGES, 3, W, B),
        call(IMAGES, 1, None, None, 1e-3, False),
        call(IMAGES.astype(F32), 3, cudnn_enabled=False),
        call(strided(4, 3, 5), 1),
        call(IMAGES, 2),
    ],
)
CALLS.add(
    "rms_norm",
    [
        call(IMAGES, (5,)),
        call(IMAGES, (5,), array(5, seed=1)),
        call(IMAGES, (3, 5), None, 1e-3),
        call(IMAGES.astype(F32), (5,)),
        call(IMAGES, (4,)),
    ],
)
for x in (IMAGES.astype(F16), IMAGES[:0], strided(2, 3, 4), array(1, 3, 2)):
    few = W.astype(x.dtype), B.astype(x.dtype)
    CALLS.add("batch_norm", [call(x, *few, None, None, True, 0.1, 1e-5, False)])
    if x.size and x.ndim == 3:
        CALLS.add("instance_norm", [call(x, *few, None, None, True, 0.1, 1e-5, False)])
    CALLS.add("group_norm", [call(x, 3, *few), call(x, 1, None, None)])
    CALLS.add("layer_norm", [call(x, x.shape[-1:], few[0][: x.shape[-1]])])
CALLS.add("instance_norm", [call(IMAGES, W, B, None, None, False, 0.1, 1e-5, True)])
# Dropout: what it keeps is random, so at most where it keeps all or nothing ------------------

for suffix in ("", "_"):
    for name in ("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"):
        CALLS.add(
            f"{name}{suffix}",
            [
                *(call(x, 0.5, False) for x in F32_INPUTS),
                call(M, 0.0, True),
                call(M, p=0.0, train=False),
                call(array(2, 3, 4, dtype=F32), 1.0, True),
                call(M, 1.5, True),
                call(M, -0.5, True),
                call(M, 0.5),
            ],
        )
CALLS.add("feature_dropout", [call(array(3, dtype=F32), 0.5, True)])
# Losses ---------------------------------------------------------------------------------------

X, Y = array(4, 3, seed=1), array(4, 3, seed=2)
SIGNS = np.sign(array(4, seed=3))
for way in (0, 1, 2):
    CALLS.add("binary_cross_entropy_with_logits", [call(X, abs(Y) / 3, reduction=way)])
    CALLS.add("binary_cross_entropy_with_logits", [call(X, abs(Y) / 3, W**2, abs(B), way)])
    CALLS.add("cosine_embedding_loss", [call(X, Y, SIGNS, 0.1, way)])
    CALLS.add("hinge_embedding_loss", [call(X[:, 0].copy(), SIGNS, 0.5, way)])
    CALLS.add("kl_div", [call(X, abs(Y), way), call(X, Y, way, log_target=True)])
    CALLS.add("margin_ranking_loss", [call(X[:, 0].copy(), Y[:, 0].copy(), SIGNS, 0.3, way)])
    CALLS.add("poisson_nll_loss", [call(X, abs(Y), True, True, 1e-8, way)])
    CALLS.add("poisson_nll_loss", [call(abs(X), abs(Y), False, False, 1e-8, way)])
    CALLS.add("triplet_margin_loss", [call(X, Y, Y[::-1].copy(), 1.0, 2.0, 1e-6, True, way)])
    CALLS.add(
        "ctc_loss",
        [
            call(
                np.log(np.full((5, 2, 4), 0.25)), np.array([[1, 2], [3, 3]]), (5, 4), (2, 1), 0, way
            )
        ],
    )
for kind, x in (("f8", strided(4, 3)), ("f4", X), ("f2", X), ("f8", X[:0]), ("f8", X[:1])):
    a, b, c, d = (v[: len(x)].astype(kind) for v in (x, abs(Y), np.sign(X), X[::-1]))
    CALLS.add("kl_div binary_cross_entropy_with_logits", [call(a, b), call(a, b, reduction=1)])
    CALLS.add("hinge_embedding_loss", [call(a, c), call(a, c, reduction=2)])
    CALLS.add("margin_ranking_loss", [call(a, b, c), call(a, b, c, reduction=1)])
    CALLS.add("poisson_nll_loss", [call(a, b, True, False, 1e-8, 1)])
    CALLS.add("triplet_margin_loss", [call(a, b, d), call(a, b, d, 0.5, 1.0, swap=True)])
    if a.ndim == 2:
        CALLS.add("cosine_embedding_loss", [call(a, b, c[:, 0].copy(), reduction=1)])
LOGS = np.log(np.full((5, 2, 4), 0.25)) + array(5, 2, 4)
for kind, options in (
    ("f8", {}),
    ("f4", {}),
    ("f8", {"zero_infinity": True}),
    ("f8", {"blank": 3, "reduction": 1}),
    ("f8", {"blank": 7}),
):
    labels = np.array([[1, 2], [2, 1]])
    CALLS.add("ctc_loss", [call(LOGS.astype(kind), labels, (5, 4), (2, 1), **options)])
CALLS.add("ctc_loss", [call(LOGS, np.array([1, 2, 2]), (5, 4), (2, 1))])
CALLS.add("ctc_loss", [call(LOGS[:1], np.array([[1, 2], [2, 1]]), (1, 1), (2, 1))])
CALLS.add("cosine_embedding_loss", [call(X, Y, SIGNS), call(X, Y, SIGNS[:2])])
CALLS.add("hinge_embedding_loss", [call(X.astype(F32), np.sign(Y).astype(F32)), call(X, Y, 1, "x")])
CALLS.add("kl_div", [call(X, Y, "mean"), call(strided(4, 3), abs(Y)), call(X[:0], Y[:0])])
CALLS.add("margin_ranking_loss", [call(X, Y, np.sign(Y)), call(array(), array(), np.array(1.0))])
CALLS.add(
    "triplet_margin_loss", [call(X, Y, X), call(X.astype(F32), Y.astype(F32), X[:1].astype(F32))]
)
# Look-ups, images, convolutions ---------------------------------------------------------------

CALLS.add(
    "embedding",
    [
        call(X, np.array([0, 2, 2])),
        call(X, np.array([[0, 3], [1, 1]]), 1),
        call(X, np.array([0, 2, 2]), -1, True),
        call(X.astype(F32), np.array([1], "int32")),
        call(X, np.array(2)),
        call(X, np.zeros(0, I64)),
        call(strided(4, 3), np.array([3])),
        call(X, np.array([7])),
        call(X, np.array([-1])),
        call(X, np.array([1.0])),
    ],
)
PLANES = array(2, 8, 6, 4)
CALLS.add("pixel_shuffle", [call(PLANES, 2), call(PLANES, 3), call(PLANES, 0), call(array(3), 2)])
CALLS.add("pixel_unshuffle", [call(PLANES, 2), call(PLANES, 4), call(PLANES.astype(F32), 2)])
CALLS.add("channel_shuffle", [call(PLANES, 2), call(PLANES, 3), call(strided(2, 8, 3), 4)])
CALLS.add("bilinear", [call(X, Y, array(5, 3, 3)), call(X, Y, array(5, 3, 3), array(5))])
CALLS.add("bilinear", [call(X, Y, array(5, 3, 2)), call(X[:2], Y, array(5, 3, 3))])
for name in ("adaptive_max_pool1d", "max_pool1d_with_indices"):
    CALLS.add(name, [call(x, 2) for x in (IMAGES, IMAGES[0], IMAGES.astype(F32), strided(4, 3, 5))])
CALLS.add("max_pool1d_with_indices", [call(IMAGES, 3, 2, 1, 1, True)])
CALLS.add(
    "constant_pad_nd", [call(X, (1, 2), 3), call(X, [1, -1, 0, 2]), call(X, [1]), call(X, [])]
)
THETA, GRID = array(2, 2, 3), array(2, 3, 4, 2)
CALLS.add("affine_grid_generator", [call(THETA, (2, 1, 3, 4), flag) for flag in (True, False)])
CALLS.add(
    "grid_sampler",
    [
        call(PLANES, GRID, mode, pad, flag)
        for mode in (0, 1)
        for pad in (0, 1, 2)
        for flag in (False, True)
    ],
)
K = array(5, 3, 3)
CALLS.add(
    "convolution",
    [
        call(IMAGES, K, None, (1,), (0,), (1,), False, (0,), 1),
        call(IMAGES, K, array(5), (2,), (1,), (1,), False, (0,), 1),
        call(IMAGES, array(3, 2, 3), None, (2,), (1,), (1,), True, (1,), 1),
        call(array(2, 4, 5, 6), array(4, 2, 3, 2), None, (1, 2), (1, 0), (1, 1), False, (0, 0), 2),
        call(
            array(1, 2, 3, 4, 4),
            array(3, 2, 2, 2, 2),
            None,
            [1] * 3,
            [0] * 3,
            [1] * 3,
            False,
            [0] * 3,
            1,
        ),
    ],
)
CALLS.add("conv_tbc", [call(array(6, 2, 3), array(2, 3, 5), array(5), pad) for pad in (0, 1)])
for kind in ("f8", "f4"):
    for x in (array(6, 2, 3), strided(6, 2, 3), array(6, 1, 3), array(2, 2, 3)):
        CALLS.add("conv_tbc", [call(*(v.astype(kind) for v in (x, array(2, 3, 5), array(5))))])
CALLS.add("affine_grid_generator", [call(THETA.astype(F32), (2, 1, 3, 4), False)])
for size in ((2, 1, 1, 1), (2, 3, 1, 4), (2, 1, 5, 2), (2, 2, 2, 2)):
    CALLS.add("affine_grid_generator", [call(THETA, size, False), call(THETA, size, True)])
for x in (IMAGES.astype(F16), array(3, 7), array(2, 1, 4), IMAGES[:0], array(1, 3)):
    CALLS.add("adaptive_max_pool1d max_pool1d_with_indices", [call(x, 1), call(x, 3)])
CALLS.add(
    "constant_pad_nd",
    [call(x, (1, 1)) for x in (X.astype(F32), array(3, dtype=I64), strided(2, 3), array(0, 2))],
)
CALLS.add("constant_pad_nd", [call(X, (-1, 0), 2.5), call(X, (-2, -2))])
for dims in ((5,), (5, 4), (3, 4, 3)):
    n = len(dims)
    x, w = array(2, 2, *dims), array(4, 2, *(2,) * n, seed=1)
    CALLS.add("convolution", [call(x, w, array(4), [1] * n, [1] * n, [2] * n, False, [0] * n, 1)])
    CALLS.add("convolution", [call(x, w[:2], None, [2] * n, [0] * n, [1] * n, True, [1] * n, 2)])
STEP = array(4, 3), array(4, 5), array(5, 3), array(5, 5)
GATES = {"rnn_tanh_cell": 1, "rnn_relu_cell": 1, "gru_cell": 3, "lstm_cell": 4}
for name, n in GATES.items():
    for kind, batch in (("f4", 4), ("f8", 0), ("f2", 2), ("f8", 1)):
        x, h = array(batch, 3).astype(kind), array(batch, 5, seed=3).astype(kind)
        shapes = (5 * n, 3), (5 * n, 5), (5 * n,), (5 * n,)
        some = [array(*shape, seed=4).astype(kind) for shape in shapes]
        CALLS.add(name, [call(x, h if n < 4 else (h, h), *some[:m]) for m in (2, 4)])
    state = STEP[1] if n < 4 else (STEP[1], array(4, 5, seed=3))
    weights = array(5 * n, 3, seed=4), array(5 * n, 5, seed=5)
    biases = array(5 * n, seed=6), array(5 * n, seed=7)
    CALLS.add(name, [call(STEP[0], state, *weights), call(STEP[0], state, *weights, *biases)])
