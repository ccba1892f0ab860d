"""Programs over ``torch.nn.utils``: gradients clipped, parameters in one vector, layers fused."""

from __future__ import annotations

from conformance.inputs import Table
from conformance.scripts import programs

CALLS = Table()
# Parameters p and q with gradients.
GRADIENTS = """p, q = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2))
p.grad, q.grad = torch.tensor([3.0, -4.0, 0.5]), torch.tensor([[1.0, 2.0], [0.0, -2.0]])
"""


def _clipped(name: str, *lines: str) -> None:
    CALLS.add(name, [c for line in lines for c in programs(GRADIENTS + line)])


_clipped(
    "clip_grad_norm_",
    "[nn.utils.clip_grad_norm_([p, q], 1.0), p.grad, q.grad]",
    "[nn.utils.clip_grad_norm_((x for x in [p, q]), 1e6), p.grad, q.grad]",
    "[nn.utils.clip_grad_norm_([p, q], 1.0, norm_type=1.0), p.grad, q.grad]",
    "[nn.utils.clip_grad_norm_([p, q], 1.0, float('inf')), p.grad, q.grad]",
    "[nn.utils.clip_grad_norm_([p, q], 1.0, 0), p.grad]",
    "[nn.utils.clip_grad_norm_(p, 0.5), p.grad]",
    "[nn.utils.clip_grad_norm_([p, q], 0.0), p.grad]",
    "[nn.utils.clip_grad_norm_([], 1.0)]",
    "q.grad = None\n[nn.utils.clip_grad_norm_([p, q], 1.0), p.grad]",
    "p.grad[0] = float('nan')\n[nn.utils.clip_grad_norm_([p, q], 1.0), q.grad]",
    "p.grad[0] = float('nan')\nnn.utils.clip_grad_norm_([p, q], 1.0, error_if_nonfinite=True)",
    "nn.utils.clip_grad_norm_([p, q], 1.0, foreach=False)",
    "nn.utils.clip_grad_norm_([3], 1.0)",
    "nn.utils.clip_grad_norm_([p])",
)
_clipped(
    "clip_grad_value_",
    "[nn.utils.clip_grad_value_([p, q], 1.5), p.grad, q.grad]",
    "[nn.utils.clip_grad_value_(p, 1), p.grad]",
    "[nn.utils.clip_grad_value_((x for x in [p, q]), 100.0), p.grad, q.grad]",
    "[nn.utils.clip_grad_value_([p, q], 0.0), p.grad]",
    "q.grad = None\n[nn.utils.clip_grad_value_([p, q], 1.0), p.grad]",
    "[nn.utils.clip_grad_value_([p], 1.0, foreach=False), p.grad]",
    "p.grad[0] = float('nan')\n[nn.utils.clip_grad_value_([p], 1.0), p.grad]",
    "p.grad[0] = float('inf')\n[nn.utils.clip_grad_value_([p], 2.0), p.grad]",
    "nn.utils.clip_grad_value_([p])",
    "nn.utils.clip_grad_value_([3], 1.0)",
    "[nn.utils.clip_grad_value_([p, p], '1'), p.grad]",
)
_clipped(
    "get_total_norm",
    "nn.utils.get_total_norm([p.grad, q.grad])",
    "nn.utils.get_total_norm([p.grad, q.grad], 1.0)",
    "nn.utils.get_total_norm([p.grad, q.grad], norm_type=float('inf'))",
    "nn.utils.get_total_norm([p.grad, q.grad], 3.5)",
    "nn.utils.get_total_norm(p.grad)",
    "nn.utils.get_total_norm([])",
    "nn.utils.get_total_norm((x for x in [p.grad]))",
    "p.grad[0] = float('inf')\nnn.utils.get_total_norm([p.grad], error_if_nonfinite=True)",
    "p.grad[0] = float('inf')\nnn.utils.get_total_norm([p.grad])",
    "nn.utils.get_total_norm([p.grad, q.grad], foreach=False)",
    "nn.utils.get_total_norm([p.grad.double(), q.grad])",
)
_clipped(
    "clip_grads_with_norm_",
    "[nn.utils.clip_grads_with_norm_([p, q], 1.0, torch.tensor(5.0)), p.grad, q.grad]",
    "[nn.utils.clip_grads_with_norm_(p, 10.0, torch.tensor(5.0)), p.grad]",
    "[nn.utils.clip_grads_with_norm_([p], 1.0, torch.tensor(0.0)), p.grad]",
    "[nn.utils.clip_grads_with_norm_([p], 1.0, torch.tensor(float('nan'))), p.grad]",
    "[nn.utils.clip_grads_with_norm_([p], 1.0, torch.tensor(float('inf'))), p.grad]",
    "q.grad = None\n[nn.utils.clip_grads_with_norm_([p, q], 1.0, torch.tensor(5.0)), p.grad]",
    "nn.utils.clip_grads_with_norm_([], 1.0, torch.tensor(5.0))",
    "[nn.utils.clip_grads_with_norm_([p], 1.0, torch.tensor(5.0), foreach=False), p.grad]",
    "[nn.utils.clip_grads_with_norm_((x for x in [p]), 0.0, torch.tensor(1.0)), p.grad]",
    "nn.utils.clip_grads_with_norm_([p], 1.0)",
)
CALLS.add(
    "parameters_to_vector",
    programs("""
nn.utils.parameters_to_vector([torch.ones(2, 2), torch.zeros(3)])

nn.utils.parameters_to_vector(nn.Linear(2, 3).parameters()).shape

nn.utils.parameters_to_vector([torch.arange(4).view(2, 2), torch.arange(2)])

nn.utils.parameters_to_vector([torch.tensor(3.0)])

nn.utils.parameters_to_vector([torch.ones(0), torch.ones(1)])

p = nn.Parameter(torch.ones(2))
nn.utils.parameters_to_vector([p, p]).sum().backward()
p.grad

nn.utils.parameters_to_vector([])

nn.utils.parameters_to_vector([3])

nn.utils.parameters_to_vector([torch.ones(2, dtype=torch.int64), torch.ones(1)])

nn.utils.parameters_to_vector((p for p in [torch.ones(1)]))
"""),
)
CALLS.add(
    "vector_to_parameters",
    programs("""
p, q = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(3))
nn.utils.vector_to_parameters(torch.arange(7.0), [p, q])
[p, q]

p = nn.Parameter(torch.zeros(2))
nn.utils.vector_to_parameters(torch.arange(5.0), [p])
p

p = nn.Parameter(torch.zeros(2, 2))
nn.utils.vector_to_parameters(torch.arange(3.0), [p])

nn.utils.vector_to_parameters([1.0], [nn.Parameter(torch.zeros(1))])

nn.utils.vector_to_parameters(torch.ones(1), [])

m = nn.Linear(2, 1)
nn.utils.vector_to_parameters(torch.tensor([1.0, 2.0, 3.0]), m.parameters())
[m.weight, m.bias, m(torch.ones(2))]

p = nn.Parameter(torch.zeros(2))
nn.utils.vector_to_parameters(torch.ones(2, dtype=torch.float64), [p])
p.dtype

p = nn.Parameter(torch.zeros(2))
nn.utils.vector_to_parameters(torch.ones(2), (x for x in [p]))
[p, p.requires_grad, p.is_leaf]

p = nn.Parameter(torch.zeros(()))
nn.utils.vector_to_parameters(torch.ones(1), [p])
p

nn.utils.vector_to_parameters(torch.ones(1))
"""),
)
CALLS.add(
    "fuse_conv_bn_eval fuse_linear_bn_eval fuse_conv_bn_weights fuse_linear_bn_weights",
    programs("""
torch.manual_seed(0)
conv, bn = nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3)
bn(torch.randn(4, 3, 2, 2))
x = torch.randn(1, 2, 4, 4)
fused = nn.utils.fuse_conv_bn_eval(conv.eval(), bn.eval())
[torch.allclose(fused(x), bn(conv(x)), atol=1e-5), fused, fused.training, fused is conv]

conv, bn = nn.Conv1d(2, 3, 2, bias=False), nn.BatchNorm1d(3)
fused = nn.utils.fuse_conv_bn_eval(conv.eval(), bn.eval())
[fused, [n for n, _ in fused.named_parameters()]]

conv, bn = nn.ConvTranspose2d(2, 3, 2), nn.BatchNorm2d(3)
x = torch.ones(1, 2, 3, 3)
fused = nn.utils.fuse_conv_bn_eval(conv.eval(), bn.eval(), transpose=True)
torch.allclose(fused(x), bn(conv(x)), atol=1e-5)

nn.utils.fuse_conv_bn_eval(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))

nn.utils.fuse_conv_bn_eval(nn.Conv2d(1, 1, 1).eval(), nn.BatchNorm2d(1))

linear, bn = nn.Linear(2, 3), nn.BatchNorm1d(3)
fused = nn.utils.fuse_linear_bn_eval(linear.eval(), bn.eval())
[fused, torch.allclose(fused(torch.ones(1, 2)), bn(linear(torch.ones(1, 2))), atol=1e-5)]

nn.utils.fuse_linear_bn_eval(nn.Linear(2, 3).eval(), nn.BatchNorm1d(4).eval())

linear, bn = nn.Linear(2, 3), nn.BatchNorm1d(1)
nn.utils.fuse_linear_bn_eval(linear.eval(), bn.eval())

nn.utils.fuse_linear_bn_eval(nn.Linear(2, 3), nn.BatchNorm1d(3))

w, b, m, v = torch.ones(3, 2, 1, 1), torch.zeros(3), torch.full((3,), 2.0), torch.full((3,), 4.0)
nn.utils.fuse_conv_bn_weights(w, b, m, v, 0.0, torch.ones(3), torch.full((3,), 0.5))

w, m, v = torch.ones(3, 2, 1), torch.full((3,), 2.0), torch.full((3,), 4.0)
nn.utils.fuse_conv_bn_weights(w, None, m, v, 0.0, None, None)

w, b, m, v = torch.ones(3, 2), torch.ones(3), torch.full((3,), 2.0), torch.full((3,), 4.0)
nn.utils.fuse_linear_bn_weights(w, b, m, v, 0.0, torch.full((3,), 2.0), torch.ones(3))
"""),
)
CALLS.add(
    "weight_norm remove_weight_norm",
    programs("""
m = nn.utils.weight_norm(nn.Linear(2, 3))
[m, [(n, tuple(p.shape)) for n, p in m.named_parameters()], list(m.state_dict())]

m = nn.utils.weight_norm(nn.Linear(2, 3), dim=None)
[(n, tuple(p.shape)) for n, p in m.named_parameters()]

m = nn.utils.weight_norm(nn.Conv2d(2, 3, 2), "weight", 1)
[(n, tuple(p.shape)) for n, p in m.named_parameters()]

m = nn.utils.weight_norm(nn.Linear(2, 3), "bias")
[(n, tuple(p.shape)) for n, p in m.named_parameters()]

m = nn.Linear(2, 3)
nn.init.ones_(m.weight)
m = nn.utils.weight_norm(m)
with torch.no_grad(): m.weight_g.mul_(2)
[m(torch.ones(2)) - m.bias, type(m.weight).__name__]

m = nn.Linear(2, 1, bias=False)
nn.init.ones_(m.weight)
m = nn.utils.weight_norm(m)
m(torch.tensor([1.0, 3.0])).sum().backward()
[m.weight_g.grad, m.weight_v.grad]

m = nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(2, 3)))
[m, sorted(n for n, _ in m.named_parameters())]

nn.utils.remove_weight_norm(nn.Linear(2, 3))

nn.utils.weight_norm(nn.utils.weight_norm(nn.Linear(2, 3)))

nn.utils.weight_norm(nn.Linear(2, 3), "odd")

nn.utils.weight_norm(nn.LSTM(2, 3), "weight_hh_l0").weight_hh_l0_g.shape
"""),
)
CALLS.add(
    "spectral_norm remove_spectral_norm",
    programs("""
m = nn.utils.spectral_norm(nn.Linear(2, 3))
[m, [(n, tuple(p.shape)) for n, p in m.named_parameters()],
 [(n, tuple(b.shape)) for n, b in m.named_buffers()], list(m.state_dict())]

m = nn.utils.spectral_norm(nn.ConvTranspose2d(2, 3, 2))
[(n, tuple(b.shape)) for n, b in m.named_buffers()]

m = nn.utils.spectral_norm(nn.Conv2d(2, 3, 2), n_power_iterations=3, dim=1)
[(n, tuple(b.shape)) for n, b in m.named_buffers()]

m = nn.Linear(2, 2, bias=False)
nn.init.constant_(m.weight, 3.0)
m = nn.utils.spectral_norm(m, n_power_iterations=30)
m(torch.ones(2))

m = nn.Linear(2, 2, bias=False)
nn.init.constant_(m.weight, 3.0)
m = nn.utils.spectral_norm(m)
m.eval()(torch.ones(1, 2)).shape

m = nn.utils.remove_spectral_norm(nn.utils.spectral_norm(nn.Linear(2, 3)))
[m, sorted(n for n, _ in m.named_parameters()), list(m.named_buffers())]

nn.utils.remove_spectral_norm(nn.Linear(2, 3))

nn.utils.spectral_norm(nn.Linear(2, 3), "odd")

nn.utils.spectral_norm(nn.Linear(2, 3), n_power_iterations=0)

nn.utils.spectral_norm(nn.utils.spectral_norm(nn.Linear(2, 3)))

nn.utils.spectral_norm(nn.Embedding(4, 2)).weight_u.shape
"""),
)
CALLS.add(
    "skip_init",
    programs("""
nn.utils.skip_init(nn.Linear, 2, 3)

nn.utils.skip_init(nn.Linear, 2, 3, bias=False, dtype=torch.float64).weight.dtype

[tuple(p.shape) for p in nn.utils.skip_init(nn.Conv2d, 1, 2, 3).parameters()]

nn.utils.skip_init(nn.Linear, in_features=2, out_features=1, device="cpu").weight.device.type

nn.utils.skip_init(nn.ReLU)

nn.utils.skip_init(nn.Linear, 2)

nn.utils.skip_init(3)

nn.utils.skip_init(nn.Linear, 2, 3).training

nn.utils.skip_init(nn.Embedding, 4, 2).weight.requires_grad

nn.utils.skip_init(nn.Sequential)

nn.utils.skip_init()
"""),
)
