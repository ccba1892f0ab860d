"""Products beyond the matrix product: ``einsum``, ``tensordot``, outer ones, distances of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpunn.autograd.variable import Variable, is_sequence
from gpunn.dtype import FLOATING, in_use
from gpunn.ops.calling import extended
from gpunn.ops.common import broadcast_shapes, canonical_dim, canonical_dims, dtype_of
from gpunn.ops.joining import roll
from gpunn.ops.matmul import bmm, dot, matmul, outer
from gpunn.ops.precision import cast_for
from gpunn.ops.reduction import Sum, norm
from gpunn.ops.shape import diagonal, expand, movedim, permute, reshape, unsqueeze

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

vdot, ger = dot, outer


def _same_dtype(x: Tensor, y: Tensor) -> None:
    if x.data.dtype != y.data.dtype:
        raise RuntimeError(
            f"expected scalar type {dtype_of(x).title} but found {dtype_of(y).title}"
        )


def _sum(x: Tensor, dims: int | Sequence[int], keepdim: bool = False) -> Tensor:
    """The sum in the dtype of ``x``, also where autocast would have ``sum`` in float32."""
    return Sum.apply(x, canonical_dims(dims, x.data.ndim), keepdim)


@extended
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Σ over the last dimension of both: (..., n), (*, n) -> (..., *). Numbers multiply."""
    a, b = input.data.shape, other.data.shape
    if not a or not b:
        return input * other
    if a[-1] != b[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(a)} and {list(b)}"
        )
    return tensordot(input, other, ([-1], [-1]))


@extended
def tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Any] | Tensor = 2) -> Tensor:
    """Σ over ``dims``: the last n of ``a`` with the first n of ``b``, or those of two lists."""
    if in_use:
        a, b = cast_for("tensordot", a, b)
    if isinstance(dims, Variable):
        dims = dims.data.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.data.ndim, b.data.ndim):
            raise RuntimeError(
                "tensordot expects dims < ndim_a or ndim_b, but got dims=" + str(dims)
            )
        left = list(range(-dims, 0))
        right = list(range(dims))
    else:
        pair: Any = dims
        left, right = ([d] if isinstance(d, int) else list[int](d) for d in pair)
    if len(left) != len(right):
        raise RuntimeError("both dimension lists should have same length")
    if a.data.dtype != b.data.dtype:
        raise RuntimeError("both inputs should have same dtype")
    summed_a = canonical_dims(left, a.data.ndim) if left else ()
    summed_b = canonical_dims(right, b.data.ndim) if right else ()
    for i, j in zip(summed_a, summed_b, strict=True):
        n, m = a.data.shape[i], b.data.shape[j]
        if n != m and n != 1 and m != 1:
            first, second = (d[summed_a.index(i)] for d in (left, right))
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {n} in dim {first} and "
                f"second has size {m} in dim {second}"
            )
        if n == 1 < m:
            b = _sum(b, j, True)
        elif m == 1 < n:
            a = _sum(a, i, True)
    free_a = [d for d in range(a.data.ndim) if d not in summed_a]
    free_b = [d for d in range(b.data.ndim) if d not in summed_b]
    size = math.prod(a.data.shape[d] for d in summed_a)
    rows = [a.data.shape[d] for d in free_a]
    columns = [b.data.shape[d] for d in free_b]
    x = reshape(permute(a, *free_a, *summed_a), math.prod(rows), size)
    y = reshape(permute(b, *summed_b, *free_b), size, math.prod(columns))
    return reshape(matmul(x, y), *rows, *columns)


@extended
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: each element of ``input`` times all of ``other``, block by block."""
    a, b = input.data.shape, other.data.shape
    n = max(len(a), len(b))
    a, b = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
    x = reshape(input, *(s for size in a for s in (size, 1)))
    y = reshape(other, *(s for size in b for s in (1, size)))
    return reshape(x * y, *(i * j for i, j in zip(a, b, strict=True)))


@extended
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along ``dim``, of size 3 (None: the first dimension of that size)."""
    if in_use:
        input, other = cast_for("cross", input, other)
    if input.data.ndim != other.data.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if dim is None:
        dim = next((d for d, n in enumerate(input.data.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    given, dim = dim, canonical_dim(dim, input.data.ndim)
    _same_dtype(input, other)
    n, m = input.data.shape[dim], other.data.shape[dim]
    if n != 3 or m != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {given} must have length 3. Got {n} and {m}"
        )
    shape = broadcast_shapes(input.data.shape, other.data.shape)
    x, y = expand(input, *shape), expand(other, *shape)
    return roll(x, -1, dim) * roll(y, -2, dim) - roll(x, -2, dim) * roll(y, -1, dim)


_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """The p-norms of all differences of rows: (..., n, d), (..., m, d) -> (..., n, m).

    Taken from the differences themselves whatever ``compute_mode``: exact also for near rows.
    """
    if in_use:
        x1, x2 = cast_for("cdist", x1, x2)
    for name, x in (("X1", x1), ("X2", x2)):
        if x.data.ndim < 2:
            raise RuntimeError(
                f"cdist only supports at least 2D tensors, {name} got: {x.data.ndim}D"
            )
        if x.data.dtype.kind not in FLOATING:
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {name} got: {dtype_of(x).title}"
            )
    if compute_mode not in _MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    if x1.data.shape[-1] != x2.data.shape[-1]:
        raise RuntimeError(
            "X1 and X2 must have the same number of columns. X1: "
            f"{x1.data.shape[-1]} X2: {x2.data.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    _same_dtype(x1, x2)
    return norm(unsqueeze(x1, -2) - unsqueeze(x2, -3), p, -1)


# einsum -------------------------------------------------------------------------------------


def einsum(equation: str, *operands: Tensor | Any) -> Tensor:
    """Products of elements, summed over the subscripts that the output does not name.

    ``einsum("bij,bjk->bik", x, y)`` multiplies matrices; "ii->i" is a diagonal, "ij->" a sum;
    without "->" the output names what occurs once, in order; "..." stands for dimensions that
    broadcast. Also ``einsum(x, [0, 1], y, [1, 2], [0, 2])``. Operands are contracted from left to
    right, two at a time, each pair by one matrix product.
    """
    if not isinstance(equation, str):
        equation, operands = _lettered((equation, *operands))
    if len(operands) == 1 and is_sequence(operands[0]):
        operands = tuple(operands[0])
    tensors: list[Tensor] = list(operands)
    if not tensors:
        raise ValueError("einsum(): must provide at least one operand")
    inputs, output = _parse(equation, tensors)
    if in_use:
        tensors = list(cast_for("einsum", *tensors))
    sizes: dict[str, int] = {}
    for i, (labels, x) in enumerate(zip(inputs, tensors, strict=True)):
        for label, n in zip(labels, x.data.shape, strict=True):
            seen = sizes.setdefault(label, n)
            if seen != n and 1 not in (seen, n):
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {n} for operand {i} which does not "
                    f"broadcast with previously seen size {seen}"
                )
            sizes[label] = max(seen, n) if 0 not in (seen, n) else 0
    result, labels = _diagonals(tensors[0], inputs[0])
    for i in range(1, len(tensors)):
        other, others = _diagonals(tensors[i], inputs[i])
        needed = {*output, *(label for later in inputs[i + 1 :] for label in later)}
        result, labels = _contract(result, labels, other, others, needed)
    gone = [d for d, label in enumerate(labels) if label not in output]
    if gone:
        result = _sum(result, gone)
        labels = [label for label in labels if label in output]
    return permute(result, *[labels.index(label) for label in output]) if labels else result


def _lettered(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The equation that ``x, [0, 1], y, [1, 2], [0, 2]`` means, and its operands."""

    def text(sublist: Any) -> str:
        return "".join("..." if n is ... else _letter(n) for n in sublist)

    pairs = len(arguments) // 2
    equation = ",".join(text(arguments[2 * i + 1]) for i in range(pairs))
    if len(arguments) % 2:
        equation += "->" + text(arguments[-1])
    return equation, arguments[: 2 * pairs : 2]


def _letter(n: int) -> str:
    if not 0 <= n < 52:
        raise ValueError(f"einsum(): expected subscripts in [0, 52), but got {n}")
    return chr(65 + n) if n < 26 else chr(71 + n)


def _parse(equation: str, tensors: list[Tensor]) -> tuple[list[list[str]], list[str]]:
    """The labels of each operand and of the output; ".0", ".1", ... are those of the ellipsis."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        more = "more" if len(tensors) > len(terms) else "fewer"
        raise RuntimeError(
            f"einsum(): {more} operands were provided than specified in the equation"
        )
    dots = 0
    for i, (term, x) in enumerate(zip(terms, tensors, strict=True)):
        named, ndim = len(term.replace("...", "")), x.data.ndim
        if "..." in term:
            if named > ndim:
                raise RuntimeError(
                    f"einsum(): the number of subscripts in the equation ({named}) is more than "
                    f"the number of dimensions ({ndim}) for operand {i}"
                )
            dots = max(dots, ndim - named)
        elif named != ndim:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the "
                f"number of dimensions ({ndim}) for operand {i} and no ellipsis was given"
            )

    def split(term: str, count: int) -> list[str]:
        before, ellipsis, after = term.partition("...")
        for c in before + after:
            if not (c.isascii() and c.isalpha()):
                raise RuntimeError(
                    f"einsum(): invalid subscript given at index {equation.index(c)} in the "
                    "equation string, subscripts must be in [a-zA-Z]"
                )
        middle = [f".{k}" for k in range(dots - count, dots)] if ellipsis else []
        return [*before, *middle, *after]

    inputs = [
        split(term, x.data.ndim - len(term.replace("...", "")))
        for term, x in zip(terms, tensors, strict=True)
    ]
    every = [label for labels in inputs for label in labels]
    if not arrow:
        once = sorted(c for c in set(every) if c[0] != "." and every.count(c) == 1)
        return inputs, [f".{k}" for k in range(dots)] + once
    output = split(right, dots)
    for label in output:
        if output.count(label) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {label} appears more than once in the output"
            )
        if label not in every:
            raise RuntimeError(
                f"einsum(): output subscript {label} does not appear in the equation for any "
                "input operand"
            )
    return inputs, output


def _diagonals(x: Tensor, labels: list[str]) -> tuple[Tensor, list[str]]:
    """``x`` with the dimensions of a label that repeats made one, their diagonal."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            n, m = x.data.shape[first], x.data.shape[second]
            if n != m:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for an operand but the sizes don't "
                    f"match, {m} != {n}"
                )
            x = movedim(diagonal(x, 0, first, second), -1, first)
            del labels[second]
    return x, labels


def _contract(
    x: Tensor, left: list[str], y: Tensor, right: list[str], needed: set[str]
) -> tuple[Tensor, list[str]]:
    """The product of two operands, summed over what nobody else needs: one ``bmm``."""
    x, left = _summed(x, left, needed | set(right))
    y, right = _summed(y, right, needed | set(left))
    both = [c for c in left if c in right]
    batch, inner = [c for c in both if c in needed], [c for c in both if c not in needed]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    size_x = dict(zip(left, x.data.shape, strict=True))
    size_y = dict(zip(right, y.data.shape, strict=True))
    size = {c: size_y[c] if size_x[c] == 1 else size_x[c] for c in both}

    def arranged(z: Tensor, labels: list[str], *groups: list[str]) -> Tensor:
        order = [labels.index(c) for group in groups for c in group]
        z = permute(z, *order)
        z = expand(
            z, *(size.get(c, z.data.shape[d]) for d, c in enumerate(c for g in groups for c in g))
        )
        merged: list[int] = []
        d = 0
        for group in groups:
            merged.append(math.prod(z.data.shape[d : d + len(group)]))
            d += len(group)
        return reshape(z, *merged)

    product = bmm(arranged(x, left, batch, rows, inner), arranged(y, right, batch, inner, columns))
    shape = [size[c] for c in batch] + [size_x[c] for c in rows] + [size_y[c] for c in columns]
    return reshape(product, *shape), batch + rows + columns


def _summed(x: Tensor, labels: list[str], needed: set[str]) -> tuple[Tensor, list[str]]:
    gone = [d for d, label in enumerate(labels) if label not in needed]
    if not gone:
        return x, labels
    return _sum(x, gone), [label for label in labels if label in needed]
