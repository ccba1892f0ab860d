"""Who touched which word last: races between the threads of a block, and between blocks.

Lanes run in lock-step here, which would hide a missing barrier. So each word of memory remembers
its last writer and its readers, and when: an access by someone else with no barrier (or, between
blocks, no release and acquire) in between is a race, whatever the order here made of it.
"""

from __future__ import annotations

import numpy as np

from gpunn.sim.memory import Arena
from gpunn.sim.values import Array

# A shared tag, from its low bits: atomic; who: lane, warp, "several lanes of that warp", "several
# warps"; sync: warp barriers passed; epoch: block-wide barriers passed.
ATOMIC = np.uint64(1)
_WHO, _SYNC, _EPOCH = np.uint64(1), np.uint64(14), np.uint64(40)
_LANE_BITS, _WARP_BITS = np.uint64(0x1F << 1), np.uint64((0x3E0 | 0x800) << 1)
_MANY_LANES, _MANY_WARPS = np.uint64(0x400 << 1), np.uint64(0x800 << 1)
_WHO_BITS, _EPOCH_BITS = np.uint64(0xFFF << 1), ~np.uint64((1 << 40) - 1)


class SharedRaces:
    """Writers and readers of each grain of the shared memory of a batch."""

    def __init__(self, size: int, grain: int, threads: Array) -> None:
        self.grain = grain
        self.writer = np.zeros(size // grain + 16, "u8")
        self.reader = np.zeros(size // grain + 16, "u8")
        self.thread = threads.astype("u8")  # of each lane, in its block
        self.tag = np.uint64(1) << _EPOCH | self.thread << _WHO
        self.floor = np.full(len(threads), np.uint64(1) << _EPOCH)

    def barrier(self, lanes: Array) -> None:
        """A block-wide barrier orders everything before and after it."""
        self.floor[lanes] += np.uint64(1) << _EPOCH
        self.tag[lanes] = self.floor[lanes] | self.thread[lanes] << _WHO

    def warp_barrier(self, lanes: Array) -> None:
        """A warp barrier orders what the lanes of a warp did."""
        self.tag[lanes] += np.uint64(1) << _SYNC

    def _grains(self, index: Array, size: int, lanes: Array) -> tuple[Array, Array, Array]:
        """Of each lane: the grains that it touches, in a row; its tag and its floor."""
        grain = index[:, None] // self.grain + np.arange(max(size // self.grain, 1))
        whole = len(lanes) == len(self.tag)
        tag, floor = (x if whole else x[lanes] for x in (self.tag, self.floor))
        return grain, tag[:, None], floor[:, None]

    def _unordered(self, old: Array, tag: Array, floor: Array) -> Array:
        """Which old accesses are by another thread, with no barrier since."""
        bad = (old >= floor) & (((old ^ tag) & _WHO_BITS) != 0)
        if np.count_nonzero(bad):
            bad &= ~(_same_warp(old, tag) & (_sync(old) < _sync(tag)))
        return bad

    def read(self, index: Array, size: int, lanes: Array) -> tuple[Array, Array] | None:
        """Record reads; (position in lanes, other thread) of races with an earlier write."""
        grain, tag, floor = self._grains(index, size, lanes)
        old = self.writer.take(grain)
        bad = self._unordered(old, tag, floor)
        if np.count_nonzero(bad):
            return np.nonzero(bad)[0], old[bad]
        old = self.reader.take(grain)
        again = old >= floor
        if not np.count_nonzero(again):
            new = np.broadcast_to(tag, old.shape)
        elif (old == floor | _MANY_WARPS).all():
            return None
        else:
            new = np.where(again, _merge(old, tag), tag)
        self.reader[grain] = new
        left = self.reader.take(grain)
        differ = left != new  # lanes that read one word in one instruction
        if np.count_nonzero(differ):
            grain, new = grain[differ], _merge(left[differ], new[differ])
            wide = (new & _MANY_WARPS) != 0
            self.reader[grain] = new
            self.reader[grain[wide]] = new[wide]
        return None

    def write(
        self, index: Array, size: int, lanes: Array, atomic: bool, same: Array
    ) -> tuple[Array, Array] | None:
        """Record writes; ``same`` says which lanes write what the memory holds already."""
        grain, tag, floor = self._grains(index, size, lanes)
        old = self.writer.take(grain)
        bad = self._unordered(old, tag, floor)
        if np.count_nonzero(bad):
            bad &= ~same[:, None]
            if atomic:
                bad &= (old & ATOMIC) == 0
            if np.count_nonzero(bad):
                return np.nonzero(bad)[0], old[bad]
        old = self.reader.take(grain)
        bad = self._unordered(old, tag, floor)
        if np.count_nonzero(bad):
            return np.nonzero(bad)[0], old[bad]
        self.writer[grain] = tag | ATOMIC if atomic else tag
        return None

    def collisions(
        self, index: Array, size: int, lanes: Array, lost: Array
    ) -> tuple[Array, Array] | None:
        """Lanes whose store another lane of the same instruction overwrote with another value."""
        if not lost.any():
            return None
        which = np.flatnonzero(lost)
        return which, self.writer.take(index[lost] // self.grain)

    def name(self, tag: int) -> str:
        """The accessor in a tag, in words."""
        tag = int(tag)
        if tag & int(_MANY_WARPS):
            return "threads of several warps"
        who = tag >> 1 & 0x3FF
        return f"lanes of warp {who // 32}" if tag & int(_MANY_LANES) else f"thread {who}"


def _sync(tag: Array) -> Array:
    return tag >> _SYNC & np.uint64(0x3FFFFFF)


def _same_warp(old: Array, tag: Array) -> Array:
    return ((old ^ tag) & _WARP_BITS) == 0


def _merge(old: Array, tag: Array) -> Array:
    """One reader's tag for two: the new one's where a warp barrier puts it after the old."""
    within = _same_warp(old, tag)
    several = np.where(within, tag & ~_LANE_BITS | _MANY_LANES, tag & _EPOCH_BITS | _MANY_WARPS)
    alone = (((old ^ tag) & _WHO_BITS) == 0) | (within & (_sync(old) < _sync(tag)))
    return np.where(alone, tag, several)


_NONE, _PARTIAL, _ATOMIC = np.uint32(0), np.uint32(1), np.uint32(2)


class GlobalRaces:
    """The last block to write, and to read, each word of device memory.

    Accesses narrower than a word do not race with each other here: which bytes they touched is not
    remembered.
    """

    def __init__(self, arena: Arena) -> None:
        self.arena, (self.writer, self.reader) = arena, arena.owners
        self.first, self.many = 1, 1
        self.clock = 0

    def launch(self, blocks: int) -> None:
        """Begin a launch: earlier owners are forgotten."""
        self.first, self.many = self.many + 1, self.many + 1 + blocks
        if self.many >= 1 << 30:
            self.arena.forget_owners()
            self.first, self.many = 1, 1 + blocks
        # When each block last released (fence, then atomic), ...; zeros are pages not yet touched.
        self.released, self.fenced, self.acquired, self.wrote = (
            np.zeros(blocks, "i8") for _ in range(4)
        )

    def fence(self, blocks: Array) -> None:
        """``__threadfence()``: what these blocks wrote is out."""
        self.clock += 1
        self.fenced[blocks] = self.clock

    def synchronise(self, blocks: Array) -> None:
        """An atomic releases what was written before a fence, and acquires what others released."""
        self.clock += 1
        out = (self.fenced[blocks] >= self.wrote[blocks]) & (self.fenced[blocks] > 0)
        self.released[blocks[out]] = self.clock
        self.acquired[blocks] = self.clock

    def access(
        self,
        word: Array,
        count: int,
        blocks: Array,
        write: bool,
        atomic: bool = False,
        partial: bool = False,
        same: Array | None = None,
    ) -> tuple[Array, Array] | None:
        """Record an access; (position, other block) of the lanes that race.

        ``same`` says which lanes write what the memory holds already: that harms nobody.
        """
        word, blocks = word[:, None] + np.arange(count), blocks[:, None]
        tag = ((blocks + self.first) << 2).astype("u4")
        before = [self.writer.take(word)]
        if write:
            before.append(self.reader.take(word))
        for old, spared in zip(before, (same, None), strict=False):
            bad = self._other(old, tag, atomic, partial)
            if np.count_nonzero(bad):
                bad &= ~self._ordered(old, blocks)
                if spared is not None:
                    bad &= ~spared[:, None]
                if np.count_nonzero(bad):
                    return np.nonzero(bad)[0], self._block(old[bad])
        if write:
            flags = (_ATOMIC if atomic else _NONE) | (_PARTIAL if partial else _NONE)
            self.writer[word] = tag | flags
            if not atomic:
                self.clock += 1
                self.wrote[blocks] = self.clock
            return None
        old = self.reader.take(word)
        also = self._other(old, tag, False, False)
        if np.count_nonzero(also):
            also &= ~self._ordered(old, blocks)
        # A word once read whole, or plainly, stays so.
        mine = (_ATOMIC if atomic else _NONE) | (_PARTIAL if partial else _NONE)
        flags = np.where(old >= np.uint32(self.first << 2), old & mine, mine)
        many = np.uint32(self.many << 2) | flags
        self.reader[word] = np.where(also, many, tag | flags)
        late = self._other(self.reader.take(word), tag, False, False)
        if np.count_nonzero(late):
            self.reader[word[late]] = many[late]
        return None

    def collisions(self, word: Array, blocks: Array, lost: Array) -> tuple[Array, Array] | None:
        """Lanes whose store a lane of another block overwrote, in one instruction."""
        tag = ((blocks + self.first) << 2).astype("u4")
        old = self.writer.take(word)
        bad = lost & self._other(old, tag, False, False)
        return (np.flatnonzero(bad), self._block(old[bad])) if np.count_nonzero(bad) else None

    def _block(self, tag: Array) -> Array:
        return (tag >> np.uint32(2)).astype("i8") - self.first

    def _other(self, old: Array, tag: Array, atomic: bool, partial: bool) -> Array:
        bad = (old >= np.uint32(self.first << 2)) & (old >> np.uint32(2) != tag >> np.uint32(2))
        if atomic:
            bad &= (old & _ATOMIC) == 0
        if partial:
            bad &= (old & _PARTIAL) == 0
        return bad

    def _ordered(self, old: Array, blocks: Array) -> Array:
        """Whether the other block released what it wrote before this one acquired."""
        other = self._block(old)
        known = (other >= 0) & (other < len(self.released))
        other = np.where(known, other, 0)
        released = self.released[other]
        return known & (released > 0) & (released <= self.acquired[blocks])
