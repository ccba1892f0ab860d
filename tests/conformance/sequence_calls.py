"""Programs over ``torch.nn.utils.rnn``: sequences packed and padded."""

from __future__ import annotations

from conformance.inputs import Table
from conformance.scripts import programs

CALLS = Table()
CALLS.add(
    "pack_padded_sequence",
    programs("""
x = torch.arange(24.0).view(4, 3, 2)
p = nn.utils.rnn.pack_padded_sequence(x, [4, 2, 1])
[p.data, p.batch_sizes, p.sorted_indices, p.unsorted_indices, p]

x = torch.arange(24.0).view(3, 4, 2)
tuple(nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 4, 1]), batch_first=True))

x = torch.arange(24.0).view(4, 3, 2)
tuple(nn.utils.rnn.pack_padded_sequence(x, [1, 4, 2], enforce_sorted=False))

tuple(nn.utils.rnn.pack_padded_sequence(torch.arange(6).view(3, 2), [3, 1]))

x = torch.ones(4, 2, 1, requires_grad=True)
p = nn.utils.rnn.pack_padded_sequence(x, [3, 2])
p.data.sum().backward()
x.grad

nn.utils.rnn.pack_padded_sequence(torch.ones(4, 3, 2), [1, 4, 2])

nn.utils.rnn.pack_padded_sequence(torch.ones(4, 3, 2), [4, 2])

nn.utils.rnn.pack_padded_sequence(torch.ones(4, 3, 2), [4, 2, 0])

nn.utils.rnn.pack_padded_sequence(torch.ones(2, 2, 1), torch.tensor([2.0, 1.0]))

nn.utils.rnn.pack_padded_sequence(torch.ones(4, 0, 2), [])

nn.utils.rnn.pack_padded_sequence(torch.ones(4), [4])

nn.utils.rnn.pack_padded_sequence(torch.ones(2, 2, 1), torch.tensor([[2, 1]]))
"""),
)
CALLS.add(
    "pad_packed_sequence",
    programs("""
p = nn.utils.rnn.pack_padded_sequence(torch.arange(24.0).view(4, 3, 2), [4, 2, 1])
nn.utils.rnn.pad_packed_sequence(p)

p = nn.utils.rnn.pack_padded_sequence(torch.arange(24.0).view(4, 3, 2), [4, 2, 1])
nn.utils.rnn.pad_packed_sequence(p, batch_first=True, padding_value=-1.0)

p = nn.utils.rnn.pack_padded_sequence(torch.ones(4, 3, 2), [2, 3, 1], enforce_sorted=False)
nn.utils.rnn.pad_packed_sequence(p)

p = nn.utils.rnn.pack_padded_sequence(torch.ones(4, 2, 1), [2, 1])
nn.utils.rnn.pad_packed_sequence(p, total_length=5)

p = nn.utils.rnn.pack_padded_sequence(torch.ones(4, 2, 1), [2, 1])
nn.utils.rnn.pad_packed_sequence(p, True, 0.0, 3)

p = nn.utils.rnn.pack_padded_sequence(torch.ones(4, 2, 1), [3, 1])
nn.utils.rnn.pad_packed_sequence(p, total_length=2)

p = nn.utils.rnn.pack_sequence([torch.arange(3), torch.arange(2)])
nn.utils.rnn.pad_packed_sequence(p, padding_value=9)

x = torch.ones(3, 2, 1, requires_grad=True)
p = nn.utils.rnn.pack_padded_sequence(x, [3, 1])
(nn.utils.rnn.pad_packed_sequence(p)[0] * 2).sum().backward()
x.grad

nn.utils.rnn.pad_packed_sequence(nn.utils.rnn.pack_sequence([torch.ones(1)]))

p = nn.utils.rnn.PackedSequence(torch.ones(3, 1), torch.tensor([2, 1]))
nn.utils.rnn.pad_packed_sequence(p)
"""),
)
CALLS.add(
    "pad_sequence",
    programs("""
nn.utils.rnn.pad_sequence([torch.ones(3), torch.ones(1)])

nn.utils.rnn.pad_sequence([torch.ones(3, 2), torch.ones(1, 2)], batch_first=True)

nn.utils.rnn.pad_sequence([torch.ones(1), torch.ones(3)], True, -1.0)

nn.utils.rnn.pad_sequence([torch.ones(1), torch.ones(3)], True, padding_side="left")

nn.utils.rnn.pad_sequence((torch.arange(2), torch.arange(3)), padding_value=7)

nn.utils.rnn.pad_sequence(torch.ones(2, 3))

nn.utils.rnn.pad_sequence([torch.ones(0), torch.ones(2)])

x = torch.ones(2, requires_grad=True)
nn.utils.rnn.pad_sequence([x, torch.ones(3)]).sum().backward()
x.grad

nn.utils.rnn.pad_sequence([torch.ones(2, 3), torch.ones(2, 4)])

nn.utils.rnn.pad_sequence([])

nn.utils.rnn.pad_sequence(3)

nn.utils.rnn.pad_sequence([torch.ones(2)], padding_side="odd")
"""),
)
CALLS.add(
    "pack_sequence unpad_sequence unpack_sequence",
    programs("""
tuple(nn.utils.rnn.pack_sequence([torch.arange(3.0), torch.arange(2.0), torch.arange(1.0)]))

tuple(nn.utils.rnn.pack_sequence([torch.ones(1, 2), torch.ones(3, 2)], enforce_sorted=False))

nn.utils.rnn.pack_sequence([torch.ones(1), torch.ones(3)])

nn.utils.rnn.pack_sequence([])

nn.utils.rnn.pack_sequence([torch.ones(2), torch.ones(0)])

nn.utils.rnn.unpad_sequence(torch.arange(12.0).view(3, 2, 2), torch.tensor([3, 1]))

nn.utils.rnn.unpad_sequence(torch.arange(6.0).view(2, 3), torch.tensor([3, 1]), batch_first=True)

nn.utils.rnn.unpad_sequence(torch.ones(3, 2), torch.tensor([0, 3]))

nn.utils.rnn.unpack_sequence(nn.utils.rnn.pack_sequence([torch.arange(3), torch.arange(2)]))

p = nn.utils.rnn.pack_sequence([torch.arange(1), torch.arange(2)], enforce_sorted=False)
nn.utils.rnn.unpack_sequence(p)

nn.utils.rnn.unpack_sequence(nn.utils.rnn.pack_sequence([torch.ones(2, 3)]))
"""),
)
CALLS.add(
    "PackedSequence",
    programs("""
p = nn.utils.rnn.PackedSequence(torch.ones(3, 1), torch.tensor([2, 1]))
[p.data, p.batch_sizes, p.sorted_indices, p.unsorted_indices]

nn.utils.rnn.PackedSequence(torch.ones(2), torch.tensor([2]), torch.tensor([1, 0])).unsorted_indices

p = nn.utils.rnn.pack_sequence([torch.ones(2)])
[p.double().data, p.half().data.dtype, p.long().data, p.int().data.dtype, p.byte().data.dtype]

p = nn.utils.rnn.pack_sequence([torch.ones(2)])
[p.to(torch.float64).data, p.to("cpu") is p, p.cpu() is p, p.is_cuda, p.is_pinned()]

p = nn.utils.rnn.pack_sequence([torch.ones(2), torch.zeros(1)])
[isinstance(p, tuple), len(p), p[1], p._fields]

nn.utils.rnn.pack_sequence([torch.ones(2)])

p = nn.utils.rnn.pack_sequence([torch.ones(2)])
[p.float() is p, p.type(torch.float64).data.dtype, p.bool().data if hasattr(p, "bool") else None]

p = nn.utils.rnn.pack_sequence([torch.ones(2, requires_grad=True)])
p.data.requires_grad

nn.utils.rnn.PackedSequence()

nn.utils.rnn.pack_sequence([torch.ones(2)]).batch_sizes.device.type

nn.utils.rnn.pack_sequence([torch.ones(2)])._replace(data=torch.zeros(2))
"""),
)
CALLS.add(
    "invert_permutation",
    programs("""
nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))

nn.utils.rnn.invert_permutation(torch.tensor([0]))

nn.utils.rnn.invert_permutation(torch.tensor([], dtype=torch.int64))

nn.utils.rnn.invert_permutation(None)

nn.utils.rnn.invert_permutation(torch.arange(5))

nn.utils.rnn.invert_permutation(torch.arange(4).flip(0))

nn.utils.rnn.invert_permutation(torch.tensor([1, 0, 3, 2]))[torch.tensor([1, 0, 3, 2])]

nn.utils.rnn.invert_permutation(torch.tensor([3, 0, 1]))

nn.utils.rnn.invert_permutation(torch.tensor([1.0, 0.0]))

nn.utils.rnn.invert_permutation(torch.randperm(6)).sort().values
"""),
)
