"""Random numbers from one counter: Philox-4x64-10, the same bits on every device.

J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Word i of a draw is word
``i % 4`` of block ``i // 4``, exactly as ``numpy.random.Philox(key, counter).random_raw`` has it.
"""

from __future__ import annotations

import math
from typing import Any

from gpunn.backends.reference.array import ArrayPrimitives

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_MASK = 2**64 - 1
# How many bits of a word make a uniform number: as many as the dtype holds.
KEPT_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


class RandomPrimitives(ArrayPrimitives):
    """Draws that are a function of ``(seed, offset)`` alone; ``offset`` counts blocks."""

    def random_words(self, seed: int, offset: int, n: int) -> Any:
        """``n`` uint64 words: ``numpy.random.Philox(key=seed, counter=offset).random_raw(n)``."""
        xp = self.xp
        # NumPy counts up before it makes a block: 256 bits, carried from word to word.
        start, carry = offset + 1, xp.arange(-(-n // 4), dtype=xp.uint64)
        words: list[Any] = []
        for shift in (0, 64, 128, 192):
            base = xp.uint64(start >> shift & _MASK)
            words.append(carry + base)
            carry = (words[-1] < base).astype(xp.uint64)
        keys = [seed & _MASK, seed >> 64 & _MASK]
        for _ in range(10):
            high0, low0 = self._multiply(words[0], _MULTIPLIERS[0])
            high1, low1 = self._multiply(words[2], _MULTIPLIERS[1])
            words = [
                high1 ^ words[1] ^ xp.uint64(keys[0]),
                low1,
                high0 ^ words[3] ^ xp.uint64(keys[1]),
                low0,
            ]
            keys = [(k + w) & _MASK for k, w in zip(keys, _WEYL, strict=True)]
        return xp.stack(words, axis=1).reshape(-1)[:n]

    def _multiply(self, a: Any, b: int) -> tuple[Any, Any]:
        """The high and low words of the 128-bit product, from 32-bit halves."""
        xp = self.xp
        half, low = xp.uint64(32), xp.uint64(0xFFFFFFFF)
        b0, b1 = xp.uint64(b & 0xFFFFFFFF), xp.uint64(b >> 32)
        a0, a1 = a & low, a >> half
        cross = (a0 * b0 >> half) + a1 * b0
        middle = (cross & low) + a0 * b1
        return a1 * b1 + (cross >> half) + (middle >> half), a * xp.uint64(b)

    def random_halves(self, seed: int, offset: int, n: int) -> Any:
        """``n`` uint32 words: the low half of each 64-bit word, then its high half."""
        return self.random_words(seed, offset, -(-n // 2)).view(self.xp.uint32)[:n]

    @staticmethod
    def random_blocks(n: int, dtype: Any) -> int:
        """How many blocks a draw of ``n`` elements of ``dtype`` takes from the counter."""
        return -(-n // (4 if dtype.itemsize == 8 else 8))

    def uniform(self, seed: int, offset: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Uniform in [0, 1): the top bits of a word, as many as the dtype holds, scaled."""
        draw = self.random_words if dtype.itemsize == 8 else self.random_halves
        bits, kept = draw(seed, offset, math.prod(shape)), KEPT_BITS[dtype.name]
        top = bits >> bits.dtype.type(bits.dtype.itemsize * 8 - kept)
        scaled = top.astype(dtype) * dtype.type(2.0**-kept)
        return scaled.reshape(shape).astype(dtype, copy=False)

    def normal(self, seed: int, offset: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Standard normal by Box and Muller (1958), a pair of words to a pair of numbers.

        Computed in float64 and rounded once, so that devices agree to the last bit or next to it.
        """
        xp, n = self.xp, math.prod(shape)
        pairs = -(-n // 2)
        if dtype.itemsize == 8:
            words = self.random_words(seed, offset, 2 * pairs).reshape(pairs, 2)
            u = (words >> xp.uint64(11)).astype(xp.float64) * 2.0**-53
        else:
            words = self.random_halves(seed, offset, 2 * pairs).reshape(pairs, 2)
            u = words.astype(xp.float64) * 2.0**-32
        radius = xp.sqrt(-2.0 * xp.log1p(-u[:, 0]))
        angle = 2.0 * math.pi * u[:, 1]
        z = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=1)
        return z.reshape(-1)[:n].reshape(shape).astype(dtype)

    def integers(self, seed: int, offset: int, low: int, high: int, n: int) -> Any:
        """``n`` int64 in [low, high): a word modulo the range, as PyTorch draws them."""
        xp = self.xp
        words = self.random_words(seed, offset, n) % xp.uint64(high - low)
        return words.astype(xp.int64) + low

    def permutation(self, seed: int, offset: int, n: int) -> Any:
        """0..n-1 in the order of ``n`` random words (int64)."""
        return self.xp.argsort(self.random_words(seed, offset, n), kind="stable")

    def keep_mask(self, seed: int, offset: int, shape: tuple[int, ...], p: float) -> Any:
        """True with probability 1 - p: the 32-bit words not below p * 2**32."""
        halves = self.random_halves(seed, offset, math.prod(shape))
        return (halves >= self.keep_threshold(p)).reshape(shape)

    def keep_threshold(self, p: float) -> Any:
        """The least 32-bit word that ``keep_mask`` keeps."""
        return self.xp.uint32(min(round(p * 2.0**32), 2**32 - 1))
