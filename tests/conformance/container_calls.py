"""Programs over the containers of modules, ``Parameter`` and ``Buffer``."""

from __future__ import annotations

from conformance.inputs import Table
from conformance.scripts import programs

CALLS = Table()
CALLS.add(
    "Sequential",
    programs("""
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

"""),
)
CALLS.add(
    "ModuleList",
    programs("""
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
"""),
)
CALLS.add(
    "ModuleDict",
    programs("""
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
"""),
)
CALLS.add(
    "ParameterList",
    programs("""
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
"""),
)
CALLS.add(
    "ParameterDict",
    programs("""
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
"""),
)
CALLS.add(
    "Parameter",
    programs("""
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
"""),
)
CALLS.add(
    "Buffer",
    programs("""
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
"""),
)
