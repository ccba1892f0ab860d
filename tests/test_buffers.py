"""Memory that is given, and layouts that are."""

from __future__ import annotations

from typing import Any

from parity import same

import gpunn


def test_frombuffer_shares_memory():
    def scenario(t: Any) -> Any:
        memory = bytearray(range(16))
        x = t.frombuffer(memory, dtype=t.uint8, offset=4, count=3)
        x[0] = 99
        return memory[4], x

    same(scenario)


def test_frombuffer_of_what_is_read_only_is_a_copy():
    memory = bytes(range(4))
    gpunn.frombuffer(memory, dtype=gpunn.uint8)[0] = 9
    assert memory == bytes(range(4))


def test_empty_strided():
    def scenario(t: Any) -> Any:
        made = [
            t.empty_strided((2, 3), (1, 2)),
            t.empty_strided((2, 3), (5, 1), dtype=t.int64),
            t.empty_strided((), ()),
            t.empty_strided((0, 3), (3, 1)),
            t.empty_strided((2,), (0,)),
            t.empty_strided((2, 2), (2, 1), requires_grad=True),
            t.empty_permuted((2, 3, 4), (2, 0, 1)),
            t.zeros(2, 3).new_empty_strided((3, 2), (1, 3)),
        ]
        return [(tuple(x.shape), x.stride(), str(x.dtype)[6:], x.requires_grad) for x in made]

    same(scenario)
    same(lambda t: t.empty_strided((2, 3), (1,)))
    same(lambda t: t.empty_permuted((2, 3), (0,)))


def test_empty_strided_on_every_device(device: str):
    x = gpunn.empty_strided((2, 3), (1, 2), device=device)
    assert x.stride() == (1, 2)
    assert str(x.device).startswith(device)
    x.fill_(3)
    assert x.sum().item() == 18
