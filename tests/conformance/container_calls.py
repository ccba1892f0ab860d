"""Programs over ``Module``, its containers, ``Parameter`` and ``Buffer``, as a user writes them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from conformance.calls import call
from conformance.inputs import Table

CALLS = Table()


def runner(lib: Any, name: str) -> Callable[[str], Any]:
    """What runs a program that says ``torch``, and gives its last line's value."""

    def run(program: str) -> Any:
        *body, last = ast.parse(program).body
        scope: dict[str, Any] = {"torch": lib, "nn": lib.nn, "F": lib.nn.functional}
        exec(compile(ast.Module(body, []), name, "exec"), scope)  # the programs below
        return _plain(eval(compile(ast.Expression(last.value), name, "eval"), scope))  # type: ignore[attr-defined]

    return run


def _plain(value: Any) -> Any:
    """``value`` as tensors, texts and sequences of them."""
    if hasattr(value, "detach"):
        return ["Parameter" * str(value).startswith("P"), str(value.requires_grad), value.detach()]
    if isinstance(value, Mapping):
        return [_plain(pair) for pair in value.items()]
    if isinstance(value, (list, tuple)) and not hasattr(value, "numel"):
        # A named tuple is told from others by its text.
        return [_plain(v) for v in value] if type(value) in (list, tuple) else repr(value)
    if hasattr(value, "__next__"):
        return [_plain(v) for v in value]
    return repr(value).replace("torch.", "gpunn.").replace(".nn.modules.", ".nn.")


def programs(names: str, text: str) -> None:
    """The programs of ``text``, parted by empty lines."""
    CALLS.add(names, [call(part.strip("\n")) for part in text.split("\n\n") if part.strip()])


programs(
    "Sequential",
    """
nn.Sequential()

nn.Sequential(nn.Linear(2, 3), nn.ReLU())

from collections import OrderedDict
nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.ReLU()))

nn.Sequential(nn.ReLU(), nn.Tanh())(torch.tensor([-1.0, 2.0]))

nn.Sequential()(torch.ones(2))

s = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.GELU())
[s[0], s[-1], s[1:], s[::2], len(s), list(s)]

nn.Sequential(nn.ReLU())[1]

nn.Sequential(nn.ReLU())["0"]

s = nn.Sequential(nn.ReLU(), nn.Tanh())
del s[0]
s

s = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.GELU())
del s[:2]
s

s = nn.Sequential(nn.ReLU())
s[0] = nn.Tanh()
s.append(nn.GELU()).extend([nn.ReLU(), nn.SiLU()]).insert(1, nn.Softmax(0))

s = nn.Sequential(nn.ReLU(), nn.Tanh())
[s.pop(-1), s]

nn.Sequential(nn.ReLU()).pop(3)

nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh())

nn.Sequential(nn.ReLU(), nn.Tanh()) * 2

nn.Sequential(nn.ReLU()) * 0

nn.Sequential(nn.ReLU()) + [nn.ReLU()]

nn.Sequential(nn.ReLU(), 3)

nn.Sequential(nn.ReLU).append(nn.ReLU())

nn.Sequential(nn.ReLU()).append(3)

nn.Sequential(nn.ReLU()).insert(5, nn.ReLU())

""",
)
programs(
    "ModuleList",
    """
nn.ModuleList()

nn.ModuleList([nn.Linear(2, 3), nn.ReLU()])

nn.ModuleList(nn.ReLU() for _ in range(3))

m = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.GELU()])
[m[0], m[-1], m[1:], len(m), list(m), nn.ReLU() in m, m[1] in m]

m = nn.ModuleList([nn.ReLU()])
m.append(nn.Tanh())
m.extend([nn.GELU(), nn.SiLU()])
m.insert(0, nn.Identity())
m += [nn.Softmax(0)]
m[1] = nn.Sigmoid()
m

m = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.GELU()])
del m[1]
[m, m.pop(0), m]

m = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.GELU()])
del m[0:2]
m

nn.ModuleList([nn.ReLU()]) + nn.ModuleList([nn.Tanh()])

nn.ModuleList([nn.Linear(2, 2)] * 3)

list(nn.ModuleList([nn.Linear(1, 2), nn.Linear(2, 3)]).state_dict())

nn.ModuleList([nn.ReLU()])[3]

nn.ModuleList([nn.ReLU()])(torch.ones(2))

nn.ModuleList([3])

nn.ModuleList([nn.ReLU()]).append(3)

nn.ModuleList([nn.ReLU()]).extend(3)

nn.ModuleList(nn.ReLU())
""",
)
programs(
    "ModuleDict",
    """
nn.ModuleDict()

nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.ReLU()})

nn.ModuleDict([["a", nn.ReLU()], ["b", nn.Tanh()]])

d = nn.ModuleDict({"a": nn.ReLU()})
d["b"] = nn.Tanh()
d.update({"c": nn.GELU()})
d.update([("d", nn.SiLU())])
del d["a"]
[d, len(d), "b" in d, "a" in d, list(d), d["c"], d.c]

d = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
[list(d.keys()), list(d.values()), list(d.items())]

d = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
[d.pop("a"), d]

d = nn.ModuleDict({"a": nn.ReLU()})
d.clear()
d

list(nn.ModuleDict({"z": nn.Linear(1, 2), "a": nn.Linear(2, 3)}).state_dict())

nn.ModuleDict({"b": nn.ReLU(), "a": nn.Tanh()}) | {}

d = nn.ModuleDict({"a": nn.ReLU()})
d.update(nn.ModuleDict({"a": nn.Tanh()}))
d

nn.ModuleDict({"a": 3})

nn.ModuleDict({"a": nn.ReLU()})["b"]

nn.ModuleDict({"a": nn.ReLU()}).pop("b")

nn.ModuleDict(3)

nn.ModuleDict([["a"]])

nn.ModuleDict({"a.b": nn.ReLU()})

nn.ModuleDict({"": nn.ReLU()})

nn.ModuleDict({"keys": nn.ReLU()})

nn.ModuleDict({1: nn.ReLU()})

nn.ModuleDict({"a": nn.ReLU()})(torch.ones(1))
""",
)
programs(
    "ParameterList",
    """
nn.ParameterList()

nn.ParameterList([torch.ones(2), nn.Parameter(torch.zeros(2, 3))])

p = nn.ParameterList([torch.ones(2)])
p.append(torch.zeros(1))
p.extend([torch.ones(3), torch.ones(4)])
p[0] = torch.full((2,), 7.0)
[len(p), p[0], p[-1], p[1:], list(p), [n for n, _ in p.named_parameters()]]

p = nn.ParameterList([torch.ones(2), torch.zeros(3)])
[p.pop(), p]

p = nn.ParameterList([torch.ones(2), torch.zeros(3)])
del p[0]
p

p = nn.ParameterList([torch.ones(2)])
p += [torch.zeros(1)]
p

list(nn.ParameterList([torch.ones(2), 3, "text"]))

nn.ParameterList([torch.ones(2), 3, "text"])

list(nn.ParameterList(torch.ones(2) for _ in range(2)).state_dict().values())

nn.ParameterList([torch.ones(2, dtype=torch.int64)])

nn.ParameterList([torch.ones(2)])[1]

nn.ParameterList(3)

nn.ParameterList([torch.ones(2)]).extend(3)

nn.ParameterList([torch.ones(2)])(torch.ones(1))
""",
)
programs(
    "ParameterDict",
    """
nn.ParameterDict()

nn.ParameterDict({"a": torch.ones(2), "b": nn.Parameter(torch.zeros(2, 3))})

nn.ParameterDict([("a", torch.ones(2))])

p = nn.ParameterDict({"a": torch.ones(2)})
p["b"] = torch.zeros(1)
p.update({"c": torch.ones(3)})
del p["a"]
[p, len(p), "b" in p, list(p), list(p.keys()), list(p.values()), list(p.items()), p.b]

p = nn.ParameterDict({"a": torch.ones(2), "b": torch.zeros(1)})
[p.pop("a"), p.popitem(), p]

p = nn.ParameterDict({"a": torch.ones(2)})
[p.get("a"), p.get("b"), p.get("b", 3), p.setdefault("c", torch.zeros(1)), p]

p = nn.ParameterDict({"a": torch.ones(2), "b": torch.zeros(1)})
[list(reversed(p)), p.copy(), p | {"c": torch.ones(1)}]

p = nn.ParameterDict({"a": torch.ones(2)})
p |= {"b": torch.zeros(1)}
p

nn.ParameterDict().fromkeys(["a", "b"], torch.ones(1))

p = nn.ParameterDict({"a": torch.ones(2)})
p.clear()
[p, len(p)]

p = nn.ParameterDict({"a": 3})
p

nn.ParameterDict({"a": torch.ones(2)})["b"]

nn.ParameterDict({"a": torch.ones(2)}).pop("b")

nn.ParameterDict([["a"]])

nn.ParameterDict({1: torch.ones(1)})
""",
)
programs(
    "Parameter",
    """
nn.Parameter(torch.ones(2))

nn.Parameter(torch.ones(2), requires_grad=False)

nn.Parameter(torch.ones(2), False).requires_grad

nn.Parameter()

p = nn.Parameter(torch.ones(2))
[isinstance(p, nn.Parameter), isinstance(torch.ones(2), nn.Parameter), p.is_leaf, p.requires_grad]

import copy
p = nn.Parameter(torch.ones(2))
q = copy.deepcopy(p)
[type(q).__name__, q is p, q]

p = nn.Parameter(torch.ones(2))
(p * 3).sum().backward()
[p.grad, type(p * 3).__name__, type(p.detach()).__name__, type(p.clone()).__name__]

nn.Parameter(torch.ones(2, dtype=torch.int64))

nn.Parameter(torch.ones(2, dtype=torch.int64), requires_grad=False)

t = torch.ones(2)
p = nn.Parameter(t)
with torch.no_grad(): p.mul_(2)
t

p = nn.Parameter(torch.ones(2))
p.add_(1)

nn.Parameter(nn.Parameter(torch.ones(2), requires_grad=False))
""",
)
programs(
    "Buffer",
    """
m = nn.Module()
m.b = nn.Buffer(torch.ones(2))
[list(m.state_dict()), [n for n, _ in m.named_buffers()], m.b]

m = nn.Module()
m.b = nn.Buffer(torch.ones(2), persistent=False)
[list(m.state_dict()), [n for n, _ in m.named_buffers()]]

[isinstance(nn.Buffer(torch.ones(2)), nn.Buffer), isinstance(torch.ones(2), nn.Buffer)]

nn.Buffer(torch.ones(2)).requires_grad

nn.Buffer(torch.ones(2)) + 1

nn.Buffer()

m = nn.Module()
m.b = nn.Buffer(torch.ones(2))
m.b = torch.zeros(3)
[list(m.state_dict().items())]

m = nn.Module()
m.b = nn.Buffer(torch.ones(2))
m.b = 3

m = nn.Module()
m.b = nn.Buffer(torch.ones(2))
m.b = None
[m.b, list(m.state_dict())]

m = nn.Module()
m.b = nn.Buffer(torch.ones(2))
m.double().b

m = nn.Module()
m.b = nn.Buffer(torch.ones(2))
del m.b
[list(m.named_buffers())]

nn.Buffer(torch.ones(2, dtype=torch.int64))
""",
)
programs(
    "Module",
    """
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
""",
)
