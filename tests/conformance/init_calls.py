"""Programs over ``torch.nn.init``; of what is drawn, its bounds, moments and refusals are told."""

from __future__ import annotations

from conformance.inputs import Table
from conformance.scripts import programs

CALLS = Table()


def _each(names: str, text: str) -> None:
    """The programs for every name, which stands in them as ``fill``."""
    for name in names.split():
        CALLS.add(name, programs(text.replace("fill(", f"nn.init.{name}(")))


# Of any of them, with what it needs beside the tensor left out.
_each(
    "ones_ zeros_ eye_ dirac_ xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ "
    "orthogonal_ uniform_ normal_ trunc_normal_",
    """
t = torch.empty(4, 3)
[fill(t) is t, bool(t.isfinite().all()), t.requires_grad]

p = nn.Parameter(torch.empty(3, 3))
[fill(p) is p, p.requires_grad, p.is_leaf, p.grad_fn]

x = torch.ones(3, 3, requires_grad=True) * 1
fill(x).requires_grad

fill(torch.empty(2, 3, 3)).shape

fill(torch.empty(4, 2, 3, 3)).dtype

fill(torch.empty(3)).shape

fill(torch.empty(())).shape

fill(torch.empty(3, 3, dtype=torch.float64)).dtype

fill(torch.empty(0, 3)).shape

fill()
""",
)
_each(
    "ones_ zeros_",
    """
fill(torch.empty(2, 3))

fill(torch.empty(2, dtype=torch.int64))
""",
)
CALLS.add(
    "eye_",
    programs("""
nn.init.eye_(torch.empty(2, 3))

nn.init.eye_(torch.empty(3, 2, dtype=torch.float64))
"""),
)
CALLS.add(
    "dirac_",
    programs("""
nn.init.dirac_(torch.empty(2, 2, 3))

nn.init.dirac_(torch.empty(3, 2, 3, 2))

nn.init.dirac_(torch.empty(4, 2, 1, 3, 2), groups=2)

nn.init.dirac_(torch.empty(4, 2, 3), groups=3)

w = nn.init.dirac_(torch.empty(2, 2, 3))
x = torch.arange(8.0).view(1, 2, 4)
F.conv1d(x, w, padding=1)
"""),
)
CALLS.add(
    "constant_",
    programs("""
nn.init.constant_(torch.empty(2, 3), 0.5)

nn.init.constant_(torch.empty(2, dtype=torch.int64), 3)

nn.init.constant_(torch.empty(()), -1)

nn.init.constant_(torch.empty(0, 3), 1.0)

nn.init.constant_(torch.empty(2), float("inf"))

nn.init.constant_(torch.empty(2, dtype=torch.bool), 1)

nn.init.constant_(nn.Linear(2, 2).weight, 2.0)

nn.init.constant_(torch.empty(2, 3).t(), 1.0)

nn.init.constant_(torch.empty(2))

nn.init.constant_(3, 1.0)

nn.init.constant_(torch.empty(2), "1")
"""),
)
CALLS.add(
    "uniform_",
    programs("""
t = nn.init.uniform_(torch.empty(5000), 2.0, 3.0)
[bool(t.min() >= 2), bool(t.max() < 3), bool((t.mean() - 2.5).abs() < 0.03)]

nn.init.uniform_(torch.empty(3), 2.0, 2.0)

nn.init.uniform_(torch.empty(3), 3.0, 2.0)

nn.init.uniform_(torch.empty(3, dtype=torch.int64))
"""),
)
CALLS.add(
    "normal_",
    programs("""
t = nn.init.normal_(torch.empty(20000), 2.0, 3.0)
[bool((t.mean() - 2).abs() < 0.15), bool((t.std() - 3).abs() < 0.15)]

nn.init.normal_(torch.empty(3), 2.0, 0.0)

nn.init.normal_(torch.empty(3), 2.0, -1.0)

nn.init.normal_(torch.empty(3, dtype=torch.int64))
"""),
)
CALLS.add(
    "trunc_normal_",
    programs("""
t = nn.init.trunc_normal_(torch.empty(20000), 0.0, 1.0, -1.0, 0.5)
[bool(t.min() >= -1), bool(t.max() <= 0.5), bool((t.mean() + 0.2).abs() < 0.03)]

t = nn.init.trunc_normal_(torch.empty(100), std=0.001)
bool(t.abs().max() < 0.01)

t = nn.init.trunc_normal_(torch.empty(50), 10.0, 1.0, -2.0, 2.0)
bool((t.abs() <= 2).all())
"""),
)
_each(
    "xavier_uniform_ xavier_normal_",
    """
t = fill(torch.empty(300, 200), gain=3.0)
bool((t.std() - 3 * (2 / 500) ** 0.5).abs() < 0.01)

t = fill(torch.empty(60, 40, 3, 3))
bool((t.std() - (2 / 900) ** 0.5).abs() < 0.002)

fill(torch.empty(3, 2), gain=0.0).abs()
""",
)
_each(
    "kaiming_uniform_ kaiming_normal_",
    """
t = fill(torch.empty(300, 200))
bool((t.std() - (2 / 200) ** 0.5).abs() < 0.01)

t = fill(torch.empty(300, 200), mode="fan_out", nonlinearity="relu")
bool((t.std() - (2 / 300) ** 0.5).abs() < 0.01)

t = fill(torch.empty(300, 200), a=2.0)
bool((t.std() - (2 / 5 / 200) ** 0.5).abs() < 0.01)

t = fill(torch.empty(300, 200), nonlinearity="tanh")
bool((t.std() - 5 / 3 / 200 ** 0.5).abs() < 0.01)

fill(torch.empty(3, 2), mode="odd")

fill(torch.empty(3, 2), nonlinearity="odd")
""",
)
CALLS.add(
    "orthogonal_",
    programs("""
t = nn.init.orthogonal_(torch.empty(5, 3))
torch.allclose(t.t() @ t, torch.eye(3), atol=1e-5)

t = nn.init.orthogonal_(torch.empty(3, 5), gain=2.0)
torch.allclose(t @ t.t(), 4 * torch.eye(3), atol=1e-5)

t = nn.init.orthogonal_(torch.empty(4, 2, 2)).flatten(1)
torch.allclose(t @ t.t(), torch.eye(4), atol=1e-5)
"""),
)
CALLS.add(
    "sparse_",
    programs("""
t = nn.init.sparse_(torch.empty(10, 4), 0.3)
(t == 0).sum(0)

t = nn.init.sparse_(torch.empty(10, 4), sparsity=0.25)
(t == 0).sum(0)

t = nn.init.sparse_(torch.empty(200, 100), 0.1, std=2.0)
bool((t[t != 0].std() - 2).abs() < 0.1)

nn.init.sparse_(torch.empty(4, 3), 1.0)

(nn.init.sparse_(torch.empty(4, 3), 0.0) == 0).sum()

nn.init.sparse_(torch.empty(0, 3), 0.5).shape

nn.init.sparse_(torch.empty(4, 3, dtype=torch.float64), 0.5).dtype

nn.init.sparse_(torch.empty(4), 0.5)

nn.init.sparse_(torch.empty(4, 3, 2), 0.5)

nn.init.sparse_(torch.empty(4, 3))

p = nn.Parameter(torch.empty(4, 3))
[nn.init.sparse_(p, 0.5) is p, p.requires_grad]
"""),
)
CALLS.add(
    "calculate_gain",
    programs("""
[nn.init.calculate_gain(n) for n in ("linear", "conv1d", "conv2d", "conv3d", "sigmoid")]

[nn.init.calculate_gain(f"conv_transpose{n}d") for n in (1, 2, 3)]

[nn.init.calculate_gain(n) for n in ("tanh", "relu", "selu")]

nn.init.calculate_gain("leaky_relu")

nn.init.calculate_gain("leaky_relu", 0.2)

nn.init.calculate_gain("leaky_relu", 1)

nn.init.calculate_gain("leaky_relu", "0.2")

nn.init.calculate_gain("leaky_relu", True)

nn.init.calculate_gain("odd")

nn.init.calculate_gain()

nn.init.calculate_gain("relu", 3)
"""),
)
