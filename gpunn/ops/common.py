"""What the families share: the array module of tensors, promotion of operands, dims."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

import numpy

from gpunn.autograd.function import Function
from gpunn.autograd.variable import Array, Variable, is_sequence, wrap
from gpunn.backends import type2backend
from gpunn.dtype import (
    FLOATING,
    dtype,
    from_numpy_dtype,
    get_default_dtype,
    promote_types,
    scalar_dtype,
)

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

Number: TypeAlias = bool | int | float
_NUMBERS = {int, float}  # which a float array takes as they are (NEP 50)
P = ParamSpec("P")
R = TypeVar("R")


class Op(Function):
    """A Function of gpunn's own, named as PyTorch names its nodes: ``AddBackward0``.

    Its backward hands out new arrays, views of ``dy``, or ``dy`` itself, never an array that it
    keeps: so the engine may let a leaf keep a new one without a copy.

    ``widens=False`` in the class statement: forward takes bfloat16 itself (by default it gets
    float32, and its result is rounded).
    """

    _fresh = True
    _widens = True

    def __init_subclass__(
        cls, suffix: str = "Backward0", widens: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(suffix=suffix, **kwargs)
        if widens is not None:
            cls._widens = widens


class Pointwise(Op):
    """An Op whose operands broadcast."""

    @classmethod
    def _explain(cls, args: tuple[Any, ...]) -> None:
        broadcast_shapes(*[a._data.shape for a in args if isinstance(a, Variable)])


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which ``shapes`` broadcast. Raises RuntimeError in PyTorch's words.

    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    result: list[int] = []
    for shape in shapes:
        lead = [1] * (len(shape) - len(result))
        result = lead + result
        for i in range(-1, -len(shape) - 1, -1):
            a, b = result[i], shape[i]
            if a != b and a != 1 and b != 1:
                raise RuntimeError(
                    f"The size of tensor a ({a}) must match the size of tensor b ({b}) at "
                    f"non-singleton dimension {len(result) + i}"
                )
            result[i] = b if a == 1 else a
    return tuple(result)


def also_named(name: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """The function takes its ints one by one, ``f(x, 2, 3)``, or as ``f(x, name=(2, 3))``.

    >>> import gpunn
    >>> gpunn.zeros(size=(2, 3)).permute(dims=(1, 0)).shape
    gpunn.Size([3, 2])
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def call(*args: Any, **keywords: Any) -> R:
            if name in keywords:
                args = (*args, keywords.pop(name))
            return function(*args, **keywords)

        return call

    return decorate


def local(function: Callable[P, R]) -> Callable[P, R]:
    """Inside the function, the device of the first tensor among its arguments is the current one.

    For functions that make arrays, or look at them, outside of an `Op`.
    """

    @functools.wraps(function)
    def call(*args: P.args, **keywords: P.kwargs) -> R:
        data: Array = None
        for given in (*args, *keywords.values()):
            data = getattr(given, "_data", None)
            if data is not None:
                break
        try:
            if data is None or type(data) is numpy.ndarray:
                return function(*args, **keywords)
            with type2backend[type(data)].beside(data):
                return function(*args, **keywords)
        except AttributeError:
            check_tensors(function, args, keywords)
            raise

    return call


def constant(x: Tensor, values: numpy.ndarray[Any, Any]) -> Array:
    """A host array's values where ``x`` lies; a CUDA graph may capture what reads them."""
    backend = type2backend[type(x.data)]
    with backend.beside(x.data):
        return backend.constant(values)


def check_all(
    operation: str,
    x: Tensor,
    right: Callable[[Array], Array],
    text: str,
    error: type[Exception] = RuntimeError,
) -> None:
    """Raise ``error(text)`` unless ``right``, of the array, is true everywhere; on a CUDA device at
    the next synchronisation."""
    backend = type2backend[type(x.data)]
    with backend.beside(x.data):
        backend.check_all(operation, right(x.data), text, error)


def not_implemented(name: str, x: Array) -> NotImplementedError:
    """The error for an element type that an operation does not take."""
    where, kind = type2backend[type(x)].name, from_numpy_dtype[x.dtype].title
    return NotImplementedError(f"\"{name}_{where}\" not implemented for '{kind}'")


def need_tensor(name: str, value: object, argument: str = "input", position: int = 1) -> None:
    """Raise TypeError unless ``value`` is a tensor."""
    if not isinstance(value, Variable):
        kind = type(value)
        given, fix = kind.__name__, ""
        if kind in type2backend:
            given = f"{kind.__module__}.{given}"
            fix = "; gpunn.as_tensor(...) makes it one, and of x.data x.detach() is the tensor"
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be Tensor, "
            f"not {given}{fix}"
        )


# What else than tensors an argument may be, and which numbers count as which.
_PLAIN = {"Tensor", "None", "bool", "int", "float"}
_COUNTS_AS = {"bool": {"bool", "int", "float"}, "int": {"int", "float"}, "float": {"float"}}


def check_tensors(
    function: Callable[..., Any], args: Sequence[Any], keywords: dict[str, Any]
) -> None:
    """Raise TypeError for the first argument that ``function`` says is a tensor, and is none.

    Asked only when a call has failed, so that a call that has not pays nothing.
    """
    plain: Any = inspect.unwrap(function)
    code, name = plain.__code__, plain.__name__
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    given = {**dict(zip(named[: code.co_argcount], args, strict=False)), **keywords}
    for position, argument in enumerate(named, 1):
        if argument not in given:
            continue
        kinds = str(plain.__annotations__.get(argument)).split(" | ")
        value = given[argument]
        if value is None and "None" in kinds:
            continue
        if kinds[0] == "Tensor" and _PLAIN.issuperset(kinds):
            if not _COUNTS_AS.get(type(value).__name__, set()).intersection(kinds):
                need_tensor(name, value, argument, position)
        elif kinds == ["Sequence[Tensor]"]:
            if not is_sequence(value):
                kind = type(value).__name__
                raise TypeError(
                    f"{name}(): argument '{argument}' (position {position}) must be tuple of "
                    f"Tensors, not {kind}"
                )
            _check_elements(value, position - 1)
    if code.co_flags & inspect.CO_VARARGS:
        every = code.co_varnames[len(named)]
        values = args[code.co_argcount :]
        if len(values) == 1 and is_sequence(values[0]):
            values = values[0]
        if "Tensor" in str(plain.__annotations__.get(every)):
            _check_elements(values, code.co_argcount)


def _check_elements(values: Sequence[Any], argument: int) -> None:
    for i, value in enumerate(values):
        if not isinstance(value, Variable):
            raise TypeError(
                f"expected Tensor as element {i} in argument {argument}, but got "
                f"{type(value).__name__}"
            )


def is_tensor(obj: object) -> bool:
    """Whether ``obj`` is a tensor."""
    return isinstance(obj, Variable)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype of ``input`` is a float."""
    return input.data.dtype.kind in FLOATING


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.data.size


def xp_of(x: Variable) -> Any:
    """numpy or cupy, whichever holds ``x``."""
    return type2backend[type(x._data)].xp


def dtype_of(x: Variable) -> dtype:
    """The gpunn dtype of ``x``."""
    return from_numpy_dtype[x._data.dtype]


_C_NAMES = {
    "uint8": "unsigned char", "int8": "signed char", "int16": "short int", "int32": "int",
    "int64": "long int", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float",
    "float64": "double",
}  # fmt: skip


def c_name(x: Variable | dtype) -> str:
    """The dtype (of ``x``) as some of PyTorch's sentences name it: in C++."""
    name = (dtype_of(x) if isinstance(x, Variable) else x).name
    return _C_NAMES.get(name, name)


def as_tensor_like(value: Any, like: Variable) -> Tensor:
    """``value`` as it is if a tensor, else as a 0-d tensor on ``like``'s device."""
    if isinstance(value, Variable):
        return value  # pyright: ignore[reportReturnType]
    backend = type2backend[type(like._data)]
    array = numpy.asarray(value, scalar_dtype(value).numpy)
    with backend.on(backend.device(like._data)):
        return wrap(backend.from_numpy(array))


def result_type(*operands: Variable | Number) -> dtype:
    """The dtype in which ``operands`` are combined.

    Tensors with dimensions decide; 0-d tensors, and after them Python numbers, only raise the
    category (bool, integer, float) of the result.
    """
    ranks: list[dtype | None] = [None, None, None]  # dimensioned, 0-d, numbers
    for x in operands:
        if isinstance(x, Variable):
            rank, found = (0 if x._data.ndim else 1), from_numpy_dtype[x._data.dtype]
        else:
            rank, found = 2, scalar_dtype(x)
        before = ranks[rank]
        ranks[rank] = found if before is None else promote_types(before, found)
    result: dtype | None = None
    for found in ranks:
        if found is None:
            continue
        if result is None or found.kind > result.kind:
            result = found
    if result is None:
        raise TypeError("result_type() needs at least one operand")
    return result


def pair(x: Any, y: Any, to_float: bool = False) -> tuple[Any, Any, Any]:
    """The ``operands`` x and y, and the array module: at once in the common cases."""
    if isinstance(x, Variable):
        a = array = x._data
        if isinstance(y, Variable):
            b = y._data
            alike = a.dtype is b.dtype and type(a) is type(b)
        else:
            b, alike = y, type(y) in _NUMBERS
    else:
        a, b = x, y._data
        array, alike = b, type(x) in _NUMBERS
    if alike and array.dtype.kind in FLOATING:
        return a, b, numpy if type(array) is numpy.ndarray else type2backend[type(array)].xp
    (a, b), xp = operands(x, y, to_float=to_float)
    return a, b, xp


def operands(*values: Any, to_float: bool = False) -> tuple[list[Any], Any]:
    """The arrays (or plain numbers) of ``values`` in their common dtype, and the array module.

    With ``to_float`` integers become the default float. A 0-d CPU tensor beside tensors of a
    device counts as a number there.
    """
    first: Array = None
    same, numbers = True, False
    for v in values:
        if isinstance(v, Variable):
            data = v._data
            if first is None:
                first = data
            elif data.dtype is not first.dtype or type(data) is not type(first):
                same = False
        elif type(v) is float or type(v) is int:
            numbers = True
        else:
            same = False
    if first is None:
        raise TypeError("at least one operand must be a Tensor")
    # A float array takes a Python number as it is (NEP 50); integers would wrap or be promoted.
    if same and (first.dtype.kind in FLOATING or not (numbers or to_float)):
        xp = numpy if type(first) is numpy.ndarray else type2backend[type(first)].xp
        return [v._data if isinstance(v, Variable) else v for v in values], xp
    common = result_type(*values)
    if to_float and common.kind < 2:
        common = get_default_dtype()
    device_types: set[Any] = {type(v._data) for v in values if isinstance(v, Variable)}
    if len(device_types) > 1:  # Function.apply has let only 0-d CPU tensors through
        device_types.discard(numpy.ndarray)
    (array_type,) = device_types
    xp = type2backend[array_type].xp
    arrays: list[Any] = []
    for v in values:
        if not isinstance(v, Variable):
            arrays.append(xp.asarray(v).astype(common.numpy))
        elif type(v._data) is not array_type:
            arrays.append(xp.asarray(v._data.item()).astype(common.numpy))
        else:
            arrays.append(v._data.astype(common.numpy, copy=False))
    return arrays, xp


def float_array(x: Variable) -> Array:
    """``x``'s array, integers as the default float."""
    data = x._data
    return data if data.dtype.kind in FLOATING else data.astype(get_default_dtype().numpy)


def canonical_dim(dim: int, ndim: int) -> int:
    """``dim`` counted from the front; a 0-d tensor counts as one dimension.

    Raises IndexError in PyTorch's words.
    """
    if isinstance(dim, bool) or not isinstance(dim, (int, numpy.integer)):
        raise TypeError(f"dim must be int, not {type(dim).__name__}: {dim!r}")
    extent = max(ndim, 1)
    if not -extent <= dim < extent:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-extent}, {extent - 1}], "
            f"but got {dim})"
        )
    return int(dim) % extent


def canonical_dims(dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """``dim`` as a tuple of different dims; None and () mean all."""
    if dim is None:
        return tuple(range(ndim))
    given: Any = dim if isinstance(dim, (tuple, list)) else (dim,)
    dims = tuple([canonical_dim(d, ndim) for d in given])
    if not dims:
        return tuple(range(ndim))
    if len(set(dims)) != len(dims):
        twice = next(d for d in dims if dims.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return dims if ndim else ()
