"""The windows of pooling: their arguments, what PyTorch refuses of them, and how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpunn.backends.reference.window import output_size as windows_along
from gpunn.dtype import FLOATING
from gpunn.functional.arguments import Ints, by_shapes, ntuple, per_dimension, plain_ints
from gpunn.ops.common import dtype_of, need_tensor

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Sizes = int | Ints
OutputSize = int | None | tuple[int | None, ...]
_COUNTED = {1: "one int", 2: "two ints", 3: "three ints"}


def window_of(
    n: int, name: str, kernel_size: Sizes, stride: Any, padding: Sizes, dilation: Sizes
) -> tuple[Ints, Ints, Ints, Ints]:
    """kernel, stride, padding and dilation, an int for each dimension."""
    if stride is None or stride == ():
        stride = kernel_size

    def each(argument: str, value: Any, choice: str) -> Ints:
        found = plain_ints(value, n)
        if found is not None:
            return found
        count = len(ntuple(value, n))
        choice = choice.replace("either ", "") if name == "avg_pool3d" else choice
        problem = f"{name}: {argument} must {choice}, or a tuple of {_COUNTED[n]}"
        if name == "avg_pool1d":
            problem = f"avg_pool1d() argument '{argument}' should contain one int (got {count})"
        elif name == "max_pool1d":
            # PyTorch's four sentences are two, but for a comma.
            none = "None, " * (argument == "stride")
            comma = "," * (argument in ("stride", "padding"))
            problem = (
                f"max_pool1d() {argument} must be {none}an int, list of ints{comma} or tuple of "
                f"ints of size 1 but got size {count}"
            )
        return per_dimension(value, n, name, argument, problem)

    return (
        each("kernel_size", kernel_size, "either be a single int"),
        each("stride", stride, "either be omitted, a single int"),
        each("padding", padding, "either be a single int"),
        each("dilation", dilation, "be either a single int"),
    )


def window_count(
    n: int,
    name: str,
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
) -> Ints:
    """The output's spatial shape. Raises RuntimeError, in PyTorch's words, where there is none."""
    need_tensor(name, x)
    return _window_count(n, name, x, kernel, stride, padding, dilation, ceil_mode)


@by_shapes
def _window_count(
    n: int,
    name: str,
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
) -> Ints:
    shape, size = x.data.shape, x.data.shape[-n:]
    if name == "max_pool1d":
        _check_line(shape, kernel[0], stride[0], padding[0], dilation[0])
    else:
        _check_windows(kernel, stride, padding, dilation)
        _check_rank(n, name, shape)
        _check_fit(n, name, shape, kernel, padding)
    out = tuple(
        windows_along(*line, ceil_mode)
        for line in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if min(out) < 1:
        if name == "max_pool1d":
            raise RuntimeError(f"max_pool1d() Invalid computed output size: {out[0]}")
        before, after = ("x".join(map(str, (shape[-n - 1], *_as_plane(s, 1)))) for s in (size, out))
        raise RuntimeError(
            f"Given input size: ({before}). Calculated output size: ({after}). "
            "Output size is too small"
        )
    return out


def _check_line(shape: Ints, kernel: int, stride: int, padding: int, dilation: int) -> None:
    """``max_pool1d`` has sentences of its own."""
    name = "max_pool1d"
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(f"{name}: {_optional_batch(1, shape)}")
    for argument, value in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation)):
        if value <= 0:
            raise RuntimeError(f"{name}() {argument} must be greater than zero, but got {value}")
    if padding < 0:
        raise RuntimeError(f"{name}() padding must be non-negative, but got {padding}")
    if padding > kernel // 2:
        raise RuntimeError(
            f"{name}() padding should be at most half of kernel size, but got padding={padding} "
            f"and kernel_size={kernel}"
        )


def _check_windows(kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> None:
    """Refuse windows that fit no input."""
    if 0 in stride:
        raise RuntimeError("stride should not be zero")
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > (d * (k - 1) + 1) // 2 and k > 0:
            raise RuntimeError(
                "pad should be at most half of effective kernel size, but got "
                f"pad={p}, kernel_size={k} and dilation={d}"
            )
    for what, letter, values in (
        ("kernel size", "k", kernel),
        ("stride", "d", stride),
        ("dilation", "dilation", dilation),
    ):
        if min(values) <= 0:
            got = _by_axis(f"{letter}{{}}: {{}}", _as_plane(values, 1))
            raise RuntimeError(f"{what} should be greater than zero, but got {' '.join(got)}")


def _check_rank(n: int, name: str, shape: Ints) -> None:
    """Refuse an input of another rank, or with nothing in a dimension but the batch's."""
    ranks, got = (n + 1, n + 2), f"{name} got {list(shape)}"
    if name == "avg_pool1d" and len(shape) not in ranks:
        raise RuntimeError(_expected_ranks(n, name, len(shape)))
    if name == "avg_pool2d" and len(shape) < 3:
        limits = f"[-{len(shape)}, {len(shape) - 1}]"
        raise IndexError(
            f"Dimension out of range (expected to be in range of {limits}, but got -3): {got}"
        )
    if len(shape) not in ranks and name != "avg_pool2d":
        raise RuntimeError(
            f"non-empty {n + 1}D or {n + 2}D (batch mode) tensor expected for input, but {got}"
        )
    empty = [d for d, length in enumerate(shape[-n - 1 :]) if not length]
    if n == 3 and empty:
        raise RuntimeError(
            f"{name}(): Expected input's non-batch dimensions to have positive length, but input "
            f"has a shape of {list(shape)} and non-batch dimension {empty[0]} has length zero!"
        )
    if len(shape) not in ranks or empty:
        plane = (*shape[:-1], *_as_plane(shape[-1:], 1)) if n == 1 else shape
        raise RuntimeError(_optional_batch(max(n, 2), plane))


def _check_fit(n: int, name: str, shape: Ints, kernel: Ints, padding: Ints) -> None:
    if name == "avg_pool3d" and any(s < k for s, k in zip(shape[-n:], kernel, strict=True)):
        sizes = " ".join(_by_axis("{}: {}", shape[-n:]))
        kernels = " ".join(_by_axis("k{}: {}", kernel))
        raise RuntimeError(f"input image ({sizes}) smaller than kernel size ({kernels})")
    if all(p <= k // 2 for p, k in zip(padding, kernel, strict=True)):
        return
    if n == 3:
        got = " ".join([*_by_axis("k{}: {}", kernel), *_by_axis("pad{}: {}", padding)])
    else:
        pads, kernels = (_as_plane(values, one) for values, one in ((padding, 0), (kernel, 1)))
        parts = _by_axis("pad{} = {}", pads)[::-1] + _by_axis("k{} = {}", kernels)[::-1]
        got = ", ".join(parts)
    raise RuntimeError(f"pad should be smaller than or equal to half of kernel size, but got {got}")


def _optional_batch(n: int, shape: Ints) -> str:
    return (
        f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for "
        f"input, but got:{list(shape)}"
    )


def _expected_ranks(n: int, name: str, rank: int) -> str:
    """The sentence for an input of another rank than pooling over ``n`` dimensions takes."""
    return (
        f"Expected {n + 1} to {n + 2} dimensions, but got {rank}-dimensional tensor for argument "
        f"#1 'self' (while checking arguments for {name})"
    )


def _as_plane(values: Ints, first: int) -> Ints:
    """To PyTorch, one dimension is a plane's second: the sentences name the first as well."""
    return (first, *values) if len(values) == 1 else values


def _by_axis(form: str, values: Ints) -> list[str]:
    return [form.format(axis, v) for axis, v in zip("THW"[-len(values) :], values, strict=True)]


def adaptive_size(n: int, name: str, x: Tensor, output_size: OutputSize) -> Ints:
    """``output_size``, an int for each dimension; None keeps the input's. Raises as PyTorch."""
    need_tensor(name, x)
    shape, kind = x.data.shape, x.data.dtype.kind
    if n > 1 and isinstance(output_size, tuple) and len(shape) <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
    if len(shape) not in (n + 1, n + 2):
        problem = f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got {list(shape)}"
        raise RuntimeError(_expected_ranks(n, name, len(shape)) if n == 1 else problem)
    wanted = ntuple(output_size, n)
    if len(wanted) != n:
        problem = f"{name}(): internal error: output_size.size() must be {n}, not {len(wanted)}"
        if n == 1:
            problem = f"{name}() argument 'output_size' should contain one int (got {len(wanted)})"
        elif "avg" in name:
            problem = f"{name}: output_size must be {n}, not {len(wanted)} ints"
        raise RuntimeError(problem)
    filled = tuple(s if w is None else w for w, s in zip(wanted, shape[-n:], strict=True))
    out = per_dimension(filled, n, name, "output_size", "")
    if min(out) < 0 and "max" in name:
        made = [*shape[:-n], *_as_plane(out, 1)]
        negative = next(o for o in out if o < 0)
        raise RuntimeError(f"Trying to create tensor with negative dimension {negative}: {made}")
    if min(out) < 0:
        raise RuntimeError(
            f"adaptive_avg_pool{max(n, 2)}d: elements of output_size must be greater than or equal "
            f"to 0 but received {{{', '.join(map(str, _as_plane(out, 1)))}}}"
        )
    empty = next((d for d in range(len(shape) - n, len(shape)) if not shape[d]), None)
    if empty is not None:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input "
            f"has sizes {list(shape)} with dimension {empty} being empty"
        )
    if kind not in FLOATING:
        raise refusal(name, x)
    return out


def refusal(name: str, x: Tensor) -> NotImplementedError:
    """The error for an element type that pooling does not take."""
    return NotImplementedError(
        f"\"{name}\" not implemented for '{dtype_of(x).title}'; convert the input, for "
        "example with .float()"
    )
