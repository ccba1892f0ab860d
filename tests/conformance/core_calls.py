"""Programs over ``Module`` itself, and over the bases of recurrent modules."""

from __future__ import annotations

from conformance.inputs import Table
from conformance.scripts import programs

CALLS = Table()
CALLS.add(
    "Module",
    programs("""
nn.Module()

nn.Module()(torch.ones(1))

class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(1, 2)
        self.b = nn.Sequential(nn.ReLU(), nn.Linear(2, 1))
        self.w = nn.Parameter(torch.ones(2))
        self.register_buffer("r", torch.zeros(3))
        self.register_buffer("t", torch.zeros(1), persistent=False)
    def forward(self, x):
        return self.b(self.a(x))
    def extra_repr(self):
        return "of two"
m = M()
[m, [n for n, _ in m.named_parameters()], [n for n, _ in m.named_buffers()],
 [n for n, _ in m.named_modules()], [n for n, _ in m.named_children()],
 [n for n, _ in m.named_parameters(prefix="p", recurse=False)], list(m.state_dict()),
 list(m.state_dict(prefix="x.")), m.training, m.get_submodule("b.1"), m.get_parameter("w"),
 m.get_buffer("r"), m(torch.ones(3, 1)).shape]

class M(nn.Module):
    def __init__(self):
        self.a = nn.Linear(1, 1)
M()

class M(nn.Module):
    def __init__(self):
        self.a = nn.Parameter(torch.ones(1))
M()

nn.Linear(1, 2).nothing

nn.Linear(1, 2).get_submodule("a.b")

nn.Linear(1, 2).get_parameter("nothing")

nn.Linear(1, 2).get_parameter("in_features")

nn.Linear(1, 2).get_buffer("weight")

m = nn.Sequential(nn.Linear(1, 1))
m.set_submodule("0", nn.ReLU())
m

nn.Sequential(nn.Linear(1, 1)).set_submodule("3.a", nn.ReLU())

m = nn.Module()
m.add_module("a", nn.ReLU())
m.register_module("b", None)
[m, list(m.children()), list(m.named_children())]

nn.Module().add_module("a.b", nn.ReLU())

nn.Module().add_module("", nn.ReLU())

nn.Module().add_module(3, nn.ReLU())

nn.Module().add_module("a", 3)

nn.Linear(1, 1).add_module("weight", nn.ReLU())

nn.Module().register_parameter("a", torch.ones(1))

nn.Module().register_parameter("a.b", nn.Parameter(torch.ones(1)))

m = nn.Module()
m.a = 1
m.register_parameter("a", nn.Parameter(torch.ones(1)))

m = nn.Module()
m.register_parameter("a", None)
[m.a, list(m.parameters()), list(m.state_dict())]

nn.Module().register_buffer("a", 3)

nn.Module().register_buffer("a.b", torch.ones(1))

nn.Module().register_buffer("training", torch.ones(1))

m = nn.Linear(1, 1)
m.weight = torch.ones(1, 1)

m = nn.Linear(1, 1)
m.weight = None
[m.weight, [n for n, _ in m.named_parameters()]]

m = nn.Linear(1, 1)
del m.bias
m.bias

m = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
[m.eval().training, m[1].training, m.train()[1].training, m.train(False)[1].training]

nn.Linear(1, 1).train(3)

m = nn.Linear(1, 1).requires_grad_(False)
[m.weight.requires_grad, m.requires_grad_().bias.requires_grad]

m = nn.Linear(2, 1)
m(torch.ones(1, 2)).sum().backward()
m.zero_grad()
grad = m.weight.grad
m(torch.ones(1, 2)).sum().backward()
m.zero_grad(set_to_none=False)
[grad, m.weight.grad]

seen = []
m = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
m.apply(lambda m: seen.append(type(m).__name__))
seen

m = nn.Linear(1, 1)
[m.half().weight.dtype, m.bfloat16().bias.dtype, m.float().weight.dtype, m.double().weight.dtype,
 m.to(torch.float16).weight.dtype, m.to("cpu").weight.dtype, m.type(torch.float32).weight.dtype,
 m.to(torch.ones(1).double()).weight.dtype, m.to(dtype=torch.float32, device="cpu") is m]

nn.Linear(1, 1).to(torch.int32)

m = nn.Sequential(nn.BatchNorm1d(2)).double()
[m[0].running_mean.dtype, m[0].num_batches_tracked.dtype]

m = nn.Linear(1, 1)
[m.cpu() is m, m.share_memory() is m]

m = nn.Linear(2, 1)
[m.load_state_dict({"weight": torch.ones(1, 2), "bias": torch.zeros(1)}), m.weight, m.bias]

nn.Linear(2, 1).load_state_dict({"weight": torch.ones(1, 2)})

nn.Linear(2, 1).load_state_dict({"weight": torch.ones(1, 2), "b": torch.zeros(1)}, strict=False)

nn.Sequential(nn.Linear(2, 1)).load_state_dict({"0.weight": torch.ones(3, 2), "1.x": torch.ones(1)})

nn.Linear(2, 1).load_state_dict({"weight": torch.ones(2, 2), "bias": torch.zeros(1)}, strict=False)

nn.Linear(2, 1).load_state_dict({"weight": 3, "bias": torch.zeros(1)})

nn.Linear(2, 1).load_state_dict(3)

m = nn.Linear(2, 1)
m.load_state_dict({"weight": torch.ones(1, 2).double(), "bias": torch.zeros(1)}, assign=True)
[m.weight.dtype, m.weight]

m = nn.Linear(2, 2)
calls = []
h = m.register_forward_hook(lambda m, a, y: calls.append("after"))
m.register_forward_pre_hook(lambda m, a: calls.append("before"))
m(torch.ones(2))
h.remove()
m(torch.ones(2))
calls

m = nn.Linear(2, 2)
m.register_forward_hook(lambda m, a, y: y * 0)
m(torch.ones(2))

m = nn.ReLU()
m.register_forward_pre_hook(lambda m, a: (a[0] + 1,))
m(torch.zeros(2))

m = nn.ReLU()
m.register_forward_hook(lambda m, a, k, y: y + len(k), with_kwargs=True)
m(input=torch.zeros(2))

m = nn.Linear(2, 2, bias=False)
nn.init.ones_(m.weight)
seen = []
m.register_full_backward_hook(lambda m, dx, dy: seen.append((dx[0], dy[0])))
m(torch.ones(1, 2, requires_grad=True)).sum().backward()
seen

m = nn.Linear(2, 2, bias=False)
m.register_full_backward_pre_hook(lambda m, dy: (dy[0] * 2,))
m(torch.ones(1, 2)).sum().backward()
m.weight.grad

m = nn.Linear(1, 1)
m.register_state_dict_pre_hook(lambda m, prefix, keep: setattr(m, "seen", prefix))
m.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
list(m.state_dict(prefix="a."))
[m.seen, m.load_state_dict({})]

class M(nn.Module):
    def get_extra_state(self): return {"n": 3}
    def set_extra_state(self, state): self.n = state["n"] + 1
m = M()
m.load_state_dict(m.state_dict())
[list(m.state_dict().items()), m.n]

nn.Linear(1, 1).get_extra_state()

a = nn.Linear(2, 2)
m = nn.Sequential(a, a)
[len(list(m.parameters())), list(m.state_dict()), len(list(m.modules())),
 [n for n, _ in m.named_modules(remove_duplicate=False)],
 [n for n, _ in m.named_parameters(remove_duplicate=False)]]

nn.Linear(1, 1).forward()

nn.Linear(1, 1)()

nn.Linear(1, 1, odd=3)

nn.Module(3)

nn.Linear(1, 1).to_empty(device="cpu").weight.shape

nn.Linear(1, 1).register_forward_hook(3)(torch.ones(1))

nn.Linear(1, 1).double()(torch.ones(1))
"""),
)
CALLS.add(
    "RNNBase",
    programs("""
nn.RNNBase("LSTM", 4, 3)

m = nn.RNNBase("GRU", 4, 3, num_layers=2, bidirectional=True)
[m, [(n, tuple(p.shape)) for n, p in m.named_parameters()]]

m = nn.RNNBase("LSTM", 4, 3, proj_size=2, bias=False)
[m, [(n, tuple(p.shape)) for n, p in m.named_parameters()]]

[nn.RNNBase("RNN_TANH", 4, 3, batch_first=True), nn.RNNBase("RNN_RELU", 4, 3, 2, dropout=0.5)]

[issubclass(kind, nn.RNNBase) for kind in (nn.RNN, nn.LSTM, nn.GRU)]

m = nn.RNNBase("LSTM", 4, 3)
[m.mode, m.input_size, m.hidden_size, m.num_layers, m.bias, m.batch_first, m.dropout, m.proj_size]

[[tuple(p.shape) for p in layer] for layer in nn.LSTM(4, 3, 2, proj_size=1).all_weights]

m = nn.GRU(4, 3, bias=False, bidirectional=True)
[[tuple(p.shape) for p in layer] for layer in m.all_weights]

nn.RNNBase("ODD", 4, 3)

nn.RNNBase("LSTM", 4, -3)

nn.RNNBase("LSTM", 4, 3, dropout=2)

nn.RNNBase("LSTM", 4, 3, proj_size=5)

nn.RNNBase("LSTM", "4", 3)

nn.RNNBase()
"""),
)
CALLS.add(
    "RNNCellBase",
    programs("""
nn.RNNCellBase(4, 3, True, 2)

m = nn.RNNCellBase(4, 3, True, 2)
[(n, tuple(p.shape)) for n, p in m.named_parameters()]

m = nn.RNNCellBase(4, 3, False, 4)
[m, m.bias_ih, m.bias_hh, list(m.state_dict())]

nn.RNNCellBase(4, 3, bias=False, num_chunks=1)

nn.RNNCellBase(4, 3, True, 1, dtype=torch.float64).weight_ih.dtype

[issubclass(kind, nn.RNNCellBase) for kind in (nn.RNNCell, nn.LSTMCell, nn.GRUCell)]

m = nn.RNNCellBase(4, 3, True, 1)
m.reset_parameters()
bool(m.weight_hh.abs().max() <= 3 ** -0.5)

nn.RNNCellBase(4, 3, True, 1)(torch.ones(1, 4))

nn.RNNCellBase(4, 3)

nn.RNNCellBase(4, 3, True)

nn.RNNCellBase(4, 0, True, 1)
"""),
)
CALLS.add(
    "UninitializedParameter UninitializedBuffer",
    programs("""
[repr(x) for x in (nn.UninitializedParameter(), nn.UninitializedBuffer())]

p = nn.UninitializedParameter(dtype=torch.float64)
p.materialize((2, 3))
[type(p).__name__, p.shape, p.dtype, p.requires_grad, p.is_leaf]

p = nn.UninitializedParameter(requires_grad=False)
p.materialize((2,), dtype=torch.float16)
[p.dtype, p.requires_grad]

b = nn.UninitializedBuffer()
b.materialize((2, 3), device="cpu")
[b.shape, b.dtype, b.requires_grad]

[nn.parameter.is_lazy(x) for x in (nn.UninitializedParameter(), nn.UninitializedBuffer())]

[nn.parameter.is_lazy(x) for x in (nn.Parameter(torch.ones(1)), torch.ones(1), None)]

[isinstance(nn.UninitializedParameter(), nn.Parameter), nn.UninitializedParameter().dtype]

nn.UninitializedParameter().shape

nn.UninitializedBuffer().shape

nn.UninitializedParameter().share_memory_()

m = nn.LazyLinear(3)
[m, list(m.state_dict()), m.has_uninitialized_params(), m.double().weight.dtype]
"""),
)
