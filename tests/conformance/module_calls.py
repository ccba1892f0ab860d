"""Uses of the modules of ``torch.nn`` that stand for one function each."""

from __future__ import annotations

import numpy as np
from conformance.calls import DType, call
from conformance.inputs import F16, F32, I64, array, distinct, strided
from conformance.modules import Of, Uses

MODULES = Uses()
X = array(3, 4)
FLOATS = [
    call(X),
    call(strided(3, 4)),
    call(array(2, 3, 4, 2)),
    call(array()),
    call(array(0, 4)),
    call(X.astype(F32)),
    call(X.astype(F16)),
    call(array(3, 4, dtype=I64)),
    call(),
    call(X, X),
]
MODULES.add("Sigmoid Tanh Softsign Tanhshrink LogSigmoid", [call()], FLOATS)
MODULES.add("Hardsigmoid Hardswish ReLU ReLU6 SELU Mish SiLU", [call(), call(inplace=True)], FLOATS)
for name, options in {
    "CELU": [call(), call(alpha=0.5), call(0), call(1.0, True)],
    "ELU": [call(), call(0.5), call(alpha=-1.0, inplace=True)],
    "GELU": [call(), call("tanh"), call(approximate="odd")],
    "Hardshrink": [call(), call(0.3)],
    "Softshrink": [call(), call(0.3), call(-1.0)],
    "Hardtanh": [call(), call(-0.5, 0.3), call(1, 0), call(inplace=True)],
    "LeakyReLU": [call(), call(0.3), call(negative_slope=0.1, inplace=True)],
    "Softplus": [call(), call(2, 3)],
    "Threshold": [call(0.1, 20), call(0.1, 20, True), call()],
    "Identity": [call(), call(54, unused=True)],
}.items():
    MODULES.add(name, options, FLOATS)
MODULES.add("RReLU", [call(), call(0.2, 0.4)], FLOATS[:3], False)
SURE = [call(0.3, 0.3), call(0.25, 0.25, True), call(0.5, 0.1)]
MODULES.add("RReLU", SURE, [*FLOATS[:6], *FLOATS[7:]])
DIMS = [call(), call(0), call(dim=-1), call(3)]
MODULES.add("Softmax LogSoftmax Softmin GLU", DIMS, FLOATS[:7])
MODULES.add("Softmax2d", [call()], [*FLOATS, call(array(2, 3, 4)), call(array(0, 2, 3, 4))])
MODULES.add(
    "PReLU",
    [call(), call(4, 0.1), call(num_parameters=3), call(0), call(1, dtype=DType("float16"))],
    [call(X), call(array(2, 4, 3)), call(array(4)), call(array(0, 4)), call(X.astype(F32))],
)
MODULES.add("Flatten", [call(), call(0), call(0, 1), call(-2), call(2, 1)], FLOATS[:6])
MODULES.add(
    "Unflatten",
    [
        call(1, (2, 2)),
        call(-1, (-1, 2)),
        call(1, (3, 2)),
        call(1, 4),
        call("c", ((1, 2),)),
        call(1, [2, 2]),
    ],
    FLOATS[:3],
)
PADS = {
    1: ([call(1), call((2, 1)), call((0, -1)), call((1,)), call((1, 2, 3))], array(2, 3, 5)),
    2: ([call(1), call((2, 1, 0, 1)), call((-1, 0, 1, 1)), call((1, 2))], array(2, 3, 5, 4)),
    3: ([call(1), call((1, 0, 1, 1, 2, 0)), call((1, 2))], array(2, 3, 5, 4, 3)),
}
for n, (options, x) in PADS.items():
    given = [call(x), call(x[0]), call(x.astype(F32)), call(x[0, 0])]
    MODULES.add(f"ReflectionPad{n}d ReplicationPad{n}d CircularPad{n}d ZeroPad{n}d", options, given)
    MODULES.add(
        f"ConstantPad{n}d", [call(*o.args, v) for o in options for v in (0.5, 0)], given[:2]
    )
SHARE = [call(), call(0.3), call(1.0), call(1.5), call(-0.1), call(0.5, True)]
MODULES.add("Dropout AlphaDropout FeatureAlphaDropout", SHARE, FLOATS[:4], False)
MODULES.add("Dropout AlphaDropout FeatureAlphaDropout", [call(0.0)], FLOATS[2:4])
for n in (1, 2, 3):
    x = array(2, 3, *(5, 4, 3)[:n])
    MODULES.add(f"Dropout{n}d", SHARE[:5], [call(x), call(x[0]), call(x.astype(F32))], False)
    MODULES.add(f"Dropout{n}d", [call(0.0), call(0.0, True)], [call(x)])

# Images ---------------------------------------------------------------------------------------
SIZE = (7, 6, 5)
for n in (1, 2, 3):
    size, kernel = SIZE[:n], (3, 2, 2)[:n]
    x = array(2, 4, *size)
    convolved = [
        call(4, 6, 3),
        call(4, 6, kernel, 2, 1, bias=False),
        call(4, 6, kernel, stride=(2, 1, 3)[:n], padding=(1, 0, 1)[:n], dilation=1, groups=2),
        call(4, 4, 2, dilation=2, groups=4),
    ]
    given = [call(x), call(x[0]), call(strided(2, 4, *size)), call(array(0, 4, *size))]
    MODULES.add(f"Conv{n}d ConvTranspose{n}d", convolved, given)
    MODULES.add(
        f"Conv{n}d",
        [
            call(4, 6, kernel, padding="same"),
            call(4, 6, 3, padding="valid", stride=2),
            *(call(4, 6, kernel, padding=1, padding_mode=m) for m in ("reflect", "circular")),
            call(4, 6, kernel, padding="same", padding_mode="replicate"),
            call(4, 6, 3, padding_mode="odd"),
            call(4, 6, 3, padding="odd"),
            call(4, 6, 3, 2, padding="same"),
            call(4, 6, 3, groups=3),
            call(4, 6, 3, groups=0),
            call(6, 4, 3, groups=4),
        ],
        [call(x), call(x.astype(F32))],
    )
    MODULES.add(
        f"ConvTranspose{n}d",
        [
            call(4, 6, kernel, 2, output_padding=1),
            call(4, 6, kernel, 3, 1, (2, 1, 0)[:n], dilation=2, bias=False),
            call(4, 6, kernel, output_padding=1),
            call(4, 6, kernel, padding_mode="reflect"),
            call(4, 6, 3, groups=3),
        ],
        [call(x), call(x.astype(F32)), call(array(2, 3, *size))],
    )
    MODULES.add(
        f"ConvTranspose{n}d",
        [call(4, 6, kernel, 2)],
        [
            call(x, tuple(2 * s + 1 for s in size)),
            call(x, output_size=(2, 6, *(2 * s + 1 for s in size))),
            call(x, (40,) * n),
            call(x, (1,) * (n + 3)),
        ],
    )
    x = distinct(2, 3, *size)
    seen = [call(x), call(x[0]), call(x.astype(F32)), call(array(0, 3, *size)), call(x[0, 0])]
    flat = seen[4:]
    windows = [call(2), call(3, 2, 1), call(kernel, 1, ceil_mode=True), call(9)]
    MODULES.add(f"MaxPool{n}d AvgPool{n}d", windows, seen)
    MODULES.add(
        f"MaxPool{n}d", [call(2, dilation=2, return_indices=True), call(2, padding=2)], seen[:3]
    )
    MODULES.add(f"AvgPool{n}d", [call(3, 1, 1, count_include_pad=False), call(2, 0)], seen[:3])
    sizes = [call(1), call((3, 4, 2)[:n]), call(5 if n == 1 else (None, 2, 2)[:n]), call(-1)]
    MODULES.add(f"AdaptiveAvgPool{n}d AdaptiveMaxPool{n}d", sizes, seen[:4])
    MODULES.add(f"AdaptiveAvgPool{n}d AdaptiveMaxPool{n}d", sizes[1:3], flat)
    MODULES.add(f"AdaptiveMaxPool{n}d", [call(2, True)], seen[:3])
    MODULES.add(
        f"LPPool{n}d",
        [call(2, 2), call(3.0, kernel if n > 1 else 3, 1), call(1, 2, ceil_mode=True), call(2, 9)],
        [call(abs(c.args[0]) + 1) for c in seen[:3]],
    )
MODULES.add("AvgPool2d AvgPool3d", [call(2, divisor_override=3)], [call(array(2, 3, 4, 4, 4))])
IMAGE = array(2, 4, 6, 4)
PICTURES = [
    call(IMAGE),
    call(IMAGE[0]),
    call(strided(2, 4, 6, 4)),
    call(IMAGE.astype(F32)),
    call(array(4)),
]
MODULES.add("PixelShuffle PixelUnshuffle", [call(2), call(1), call(3)], PICTURES)
MODULES.add("ChannelShuffle", [call(2), call(4), call(3)], PICTURES)
MODULES.add(
    "Unfold",
    [call(2), call((2, 3), 2, 1), call(kernel_size=2, stride=(2, 1)), call(9)],
    PICTURES[:4],
)
MODULES.add(
    "Fold",
    [call((4, 5), 2), call(5, (2, 3), padding=1, stride=2), call((4, 4), 2, 2)],
    [call(array(2, 8, 12)), call(array(8, 12)), call(array(2, 8, 4)), call(array(2, 12, 9))],
)
MODULES.add(
    "Upsample",
    [
        call(scale_factor=2),
        call(size=5),
        call((3, 8), mode="bilinear", align_corners=True),
        call(scale_factor=(2, 1.5), mode="bicubic"),
        call(scale_factor=1.7, mode="nearest-exact", recompute_scale_factor=True),
        call(),
        call(2, 2),
        call(4, mode="trilinear"),
    ],
    [call(IMAGE), call(IMAGE.astype(F32)), call(array(2, 3, 4))],
)
MODULES.add(
    "UpsamplingNearest2d UpsamplingBilinear2d",
    [call((5, 6)), call(scale_factor=2), call(size=4, scale_factor=2), call()],
    PICTURES[:4],
)

# Linear and normalization ------------------------------------------------------------------------
MODULES.add(
    "Linear",
    [call(4, 3), call(4, 3, False), call(4, 0), call(0, 3), call(5, 3), call(4, 3, bias=True)],
    [*FLOATS[:6], call(array(4))],
)
MODULES.add(
    "Bilinear",
    [call(4, 5, 3), call(4, 5, 3, bias=False), call(0, 5, 3), call(4, 4, 3)],
    [
        call(X, array(3, 5)),
        call(array(2, 3, 4), array(2, 3, 5)),
        call(array(0, 4), array(0, 5)),
        call(X, array(2, 5)),
    ],
)
INDEX = np.array([[0, 2, 5], [2, 2, 1]])
MODULES.add(
    "Embedding",
    [
        call(6, 3),
        call(6, 3, padding_idx=2),
        call(6, 3, -1, scale_grad_by_freq=True),
        call(6, 3, max_norm=1.0),
        call(6, 3, max_norm=0.5, norm_type=1.0),
        call(5, 3),
        call(6, 3, padding_idx=6),
        call(6, 3, padding_idx=-7),
        call(6, 0),
    ],
    [call(INDEX), call(INDEX.astype("int32")), call(np.array(4)), call(np.zeros(0, I64)), call(X)],
)
for n in (1, 2, 3):
    x = array(4, 3, *(5, 4, 2)[:n])
    normed = [
        call(x),
        call(strided(4, 3, *(5, 4, 2)[:n])),
        call(x.astype(F32)),
        call(array(4, 2, *x.shape[2:])),
    ]
    odd = [
        call(array(0, 3, *x.shape[2:])),
        call(array(1, 3, *(1,) * n)),
        call(x[0, 0]),
        call(x[None]),
    ]
    options = [
        call(3),
        call(3, 0.1, 0.3),
        call(3, affine=False),
        call(3, affine=True, track_running_stats=False),
        call(3, momentum=None, affine=True, track_running_stats=True),
    ]
    MODULES.add(f"BatchNorm{n}d InstanceNorm{n}d", options, normed, True, False)
    MODULES.add(f"BatchNorm{n}d InstanceNorm{n}d", options[:1], odd, True, False)
    MODULES.add(f"InstanceNorm{n}d", [call(3), call(3, affine=True)], [call(x[0]), call(x[0][:2])])
MODULES.add("BatchNorm1d", [call(4), call(3)], [call(X)], True, False)
MODULES.add(
    "LayerNorm RMSNorm",
    [
        call(4),
        call((3, 4)),
        call([4], eps=0.1),
        call(4, elementwise_affine=False),
        call((2, 4)),
        call(()),
    ],
    [call(X), call(strided(3, 4)), call(array(2, 3, 4)), call(array(0, 4)), call(X.astype(F32))],
)
MODULES.add("LayerNorm", [call(4, bias=False)], [call(X)])
MODULES.add(
    "GroupNorm",
    [call(2, 4), call(1, 4, 0.1), call(4, 4, affine=False), call(3, 4), call(2, 6)],
    [call(IMAGE), call(strided(2, 4, 3)), call(array(0, 4)), call(X), call(IMAGE.astype(F32))],
)
MODULES.add(
    "LocalResponseNorm",
    [call(2), call(3, 0.5, 0.3, 2.0), call(1)],
    [call(IMAGE), call(array(2, 5, 3)), call(IMAGE.astype(F32)), call(array(0, 4, 3)), call(X)],
)
MODULES.add(
    "CosineSimilarity PairwiseDistance",
    [call(), call(0), call(1, 0.1)],
    [
        call(X, array(3, 4, seed=1)),
        call(X, array(4)),
        call(X, X),
        call(X, array(3)),
        call(X.astype(F32), X),
    ],
)
MODULES.add("PairwiseDistance", [call(1.0, keepdim=True)], [call(X, array(3, 4, seed=1))])
for n in (1, 2, 3):
    ones = (1,) * (n - 1)
    kept, places = array(1, 1, *ones, 2), np.array([0, 3]).reshape(1, 1, *ones, 2)
    MODULES.add(
        f"MaxUnpool{n}d",
        [call((*ones, 2)), call((*ones, 2), (*ones, 2), 0), call((*ones, 3), (*ones, 2))],
        [
            call(kept, places),
            call(kept[0], places[0]),
            call(kept.astype(F32), places),
            call(kept, places + 9),
            call(kept, kept),
            call(kept, places, output_size=(*ones, 5)),
        ],
    )
MODULES.add(
    "EmbeddingBag",
    [
        call(6, 3),
        call(6, 3, mode="sum", padding_idx=2),
        call(6, 3, mode="max"),
        call(6, 3, max_norm=0.5),
        call(6, 3, mode="odd"),
    ],
    [
        call(INDEX),
        call(INDEX[0], np.array([0, 2])),
        call(np.array([1, 2, 3, 3]), np.array([0, 0, 3])),
        call(INDEX, np.array([0, 1])),
    ],
)
MODULES.add(
    "EmbeddingBag",
    [call(6, 3, include_last_offset=True), call(6, 3, mode="sum", include_last_offset=True)],
    [call(INDEX[0], np.array([0, 2, 3])), call(np.array([1, 2, 3, 3]), np.array([0, 0, 3, 4]))],
)

# Lazy ones: the first input tells the sizes that are left out -----------------------------------
MODULES.add(
    "LazyLinear",
    [call(3), call(3, False), call(out_features=0), call()],
    [call(X), call(array(2, 3, 4)), call(X.astype(F32)), call(array())],
)
for n in (1, 2, 3):
    x, kernel = array(2, 4, *SIZE[:n]), (3, 2, 2)[:n]
    given = [call(x), call(x[0]), call(x.astype(F32)), call(x[0, 0]), call(array(0, 4, *SIZE[:n]))]
    MODULES.add(
        f"LazyConv{n}d LazyConvTranspose{n}d",
        [call(6, kernel), call(6, 2, 2, 1, bias=False), call(6, 3, groups=2), call(6, 9)],
        given,
    )
    options = [call(), call(0.1, 0.3), call(affine=False), call(track_running_stats=False)]
    MODULES.add(f"LazyBatchNorm{n}d LazyInstanceNorm{n}d", options, given[:4])
    MODULES.add(f"LazyBatchNorm{n}d", options, given[4:])
for n in (2, 3):
    x = array(2, 3, 7, 6, 5)[..., 0] if n == 2 else array(2, 3, 7, 6, 5)
    drawn = array(2, 3, n, low=0, high=1)
    chance = Of("samples", lambda lib, drawn=drawn: lib.from_numpy(drawn))
    MODULES.add(
        f"FractionalMaxPool{n}d",
        [
            call(2, 3, _random_samples=chance),
            call((2, 1, 2)[:n], (3, 4, 2)[:n], return_indices=True, _random_samples=chance),
            call(2, output_ratio=0.5, _random_samples=chance),
            call(2, output_ratio=(0.6, 0.5, 0.7)[:n], _random_samples=chance),
            call(2),
            call(2, 3, 0.5),
            call(2, output_ratio=1.5),
        ],
        [call(x.copy()), call(x.astype(F32)), call(x[0].copy())],
    )
