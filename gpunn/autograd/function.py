"""Function: one differentiable operation, run, and recorded where a gradient will be needed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy

from gpunn.autograd.casting import rounded, widened
from gpunn.autograd.grad_mode import thread
from gpunn.autograd.lines import here
from gpunn.autograd.node import Edge, Node, clock
from gpunn.autograd.packing import Packed, in_force, pairs
from gpunn.autograd.placing import where_all_lie
from gpunn.autograd.quiet import IGNORED, errors, reset_errors, set_errors
from gpunn.autograd.saving import SECOND_TIME, Output, modified, one_of, saved
from gpunn.autograd.variable import IN_FUNCTION, Array, Variable, Way, owner_of, wrap
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING, in_use

if TYPE_CHECKING:
    from gpunn.tensor import Tensor

_PLAIN = {type(None), bool, int, float}  # is saved as it is


class Function(Node):
    """A differentiable operation: subclass it, write ``forward`` and ``backward``, call ``apply``.

    ``forward(ctx, *args)`` gets the arguments of ``apply``, reads arrays from ``x.data`` and
    returns an array (or tensor), or a tuple of them; nothing inside is recorded.
    ``backward(ctx, *dys)`` gets one gradient tensor per output and returns one per argument, None
    where there is none. It is made of differentiable operations, so that second derivatives need
    nothing more. A gradient may have the broadcast shape: the engine sums it down.

    The instance is ``ctx`` in both, and the graph's node:

    >>> import gpunn
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x.data**3
    ...     @staticmethod
    ...     def backward(ctx, dy):
    ...         (x,) = ctx.saved_tensors
    ...         return dy * 3 * x * x
    >>> x = gpunn.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x)
    tensor(8., grad_fn=<CubeBackward>)
    """

    name: ClassVar[str] = "FunctionBackward"
    # Backward is made of Python's operators alone: where it is not recorded, arrays do as well.
    _arithmetic: ClassVar[bool] = False
    # bfloat16 arguments reach forward as float32: true of gpunn's own but for those that take both.
    _widens: ClassVar[bool] = False

    needs_input_grad: tuple[bool, ...]
    _bare = False  # does backward get arrays, at this time?
    _inert: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _alone: ClassVar[Callable[..., Any]]  # forward without ctx, beside a setup_context

    def __init_subclass__(cls, suffix: str = "Backward", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:  # PyTorch's name for the node may differ
            cls.name = cls.__name__ + suffix
        if cls.setup_context is not Function.setup_context:
            _in_two_steps(cls)

    # What a subclass writes ---------------------------------------------------------------

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the output arrays."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Where a subclass has it, ``forward`` gets no ``ctx``, and this fills it afterwards."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any, **kwargs: Any) -> Any:
        """Compute the gradients of the arguments from those of the outputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    # What it may call ---------------------------------------------------------------------

    def save_for_backward(self, *values: Tensor | Array | float | None) -> None:
        """Keep inputs (tensors), outputs or intermediates (arrays), and plain numbers."""
        self._saved = values

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept, as tensors of the graph.

        Raises RuntimeError after the graph was freed, or if a value was changed in place since.
        """
        if self._saved is None:
            raise RuntimeError(SECOND_TIME)
        found: list[Any] = []
        for value in self._saved:
            if value.__class__ is tuple:
                value, version = value
                if value._version_box[0] != version:
                    raise modified(self, value, version)
                if self._bare:
                    value = value._data
                elif isinstance(value, Output):
                    value = value.linked(self)
            elif value.__class__ is Packed:
                value = value.unpacked(self)
            found.append(value)
        return tuple(found)

    def mark_non_differentiable(self, *outputs: Tensor | Array) -> None:
        """Declare outputs that have no gradient."""
        self._inert = outputs

    def mark_dirty(self, *inputs: Tensor) -> None:
        """Declare inputs that forward changed in place and returned."""
        for i, x in enumerate(inputs):
            if not isinstance(x, Variable):
                kind = type(x).__name__
                raise RuntimeError(
                    f"mark_dirty can only accept variables, but argument {i} is of type {kind}"
                )
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (True, the default) or None for outputs without gradient."""
        self._materialize = value

    def save_for_forward(self, *values: Tensor) -> None:
        """Accepted: forward-mode derivatives, for which PyTorch keeps them, there are none."""

    # Running it ---------------------------------------------------------------------------

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run ``forward`` on ``args`` and record the operation if a gradient will be needed."""
        ctx = cls()
        mode = thread.mode
        enabled, record = mode.enabled, False
        if enabled:
            needs: list[bool] = []
            edges: list[Edge | None] = []  # taken before forward may change an input in place
            for a in args:
                need, edge = False, None
                if isinstance(a, Variable):
                    if a._base is not None:
                        a._sync()
                    if a._requires_grad:
                        need = record = True
                        edge = a if a._grad_fn is None else (a._grad_fn, a._output_nr)
                needs.append(need)
                edges.append(edge)
            ctx.needs_input_grad, ctx.edges = tuple(needs), edges
            mode.enabled = False
        else:
            ctx.needs_input_grad = (False,) * len(args)
        given = widened(args) if in_use and cls._widens else args
        token = None if errors() is IGNORED else set_errors(IGNORED)
        try:
            if len(type2backend) == 1:
                results = cls.forward(ctx, *given)
            else:
                with where_all_lie(cls, args):
                    results = cls.forward(ctx, *given)
        except ValueError:
            cls._explain(args)
            raise
        finally:
            mode.enabled = enabled
            if token is not None:
                reset_errors(token)
        single = type(results) is not tuple
        if single:
            results = (results,)
        results: tuple[Any, ...]
        if given is not args:
            results = rounded(ctx, results, args, given)
        if single:
            outputs = (_output(ctx, results[0], args),)
        else:
            outputs = tuple([_output(ctx, r, args) for r in results])
        if record:
            _record(ctx, args, results, outputs)
            if mode.tracing:
                ctx.trace = here()
        elif ctx._dirty:
            _touch(ctx)
        return outputs[0] if single else outputs

    def _way(self, base: Variable, args: tuple[Any, ...]) -> Way | str:
        """How an output that shares memory with an argument follows from ``base``, its owner."""
        return IN_FUNCTION.format(type(self).__name__)

    @classmethod
    def _explain(cls, args: tuple[Any, ...]) -> None:
        """Raise what PyTorch would, if forward's ValueError on ``args`` came from NumPy."""

    # What the engine reads ----------------------------------------------------------------

    def run_backward(self, dys: Sequence[Tensor | None], recording: bool) -> Any:
        """``backward``, of arrays in place of tensors where that comes to the same."""
        dy: Any = dys[0]
        if recording or not self._arithmetic or not self._computes_in(dy):
            return self.backward(self, *dys)
        self._bare, array = True, dy._data
        try:
            found: Any = self.backward(self, array)
        finally:
            self._bare = False
        dxs: tuple[Any, ...] = found if found.__class__ is tuple else (found,)
        return tuple([dx if dx is None else dy if dx is array else wrap(dx) for dx in dxs])

    def _computes_in(self, dy: Any) -> bool:
        """Whether all that was saved has the dtype of ``dy``, in which NumPy then computes too."""
        if dy is None or dy._data.dtype.kind != "f":
            return False
        dtype = dy._data.dtype
        for value in self._saved or ():
            if value.__class__ is not tuple:
                if value.__class__ not in _PLAIN:
                    return False
            elif value[0]._data.dtype is not dtype:
                return False
        return True


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a ``backward`` of operations that cannot be differentiated themselves.

    Nothing inside is recorded; a second derivative through its results raises RuntimeError.
    """

    @functools.wraps(backward)
    def wrapper(ctx: Any, *dys: Any) -> Any:
        mode = thread.mode
        enabled, mode.enabled = mode.enabled, False
        try:
            results = backward(ctx, *dys)
        finally:
            mode.enabled = enabled
        roots = [dy for dy in dys if isinstance(dy, Variable) and dy._requires_grad]
        if not enabled or not roots:
            return results
        dxs = cast("tuple[Any, ...]", results if isinstance(results, tuple) else (results,))
        return tuple([None if dx is None else _Once.apply(dx, *roots) for dx in dxs])

    return wrapper


class _Once(Function):
    """``dx``, which hangs together with ``roots`` in a way that nobody can differentiate."""

    @staticmethod
    def forward(ctx: Any, dx: Tensor, *roots: Tensor) -> Array:
        return dx.data

    @staticmethod
    def backward(ctx: Any, *dys: Any) -> Any:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def _in_two_steps(cls: type[Function]) -> None:
    """Make ``forward(*args)`` and ``setup_context`` of ``cls`` the forward that ``apply`` calls."""
    if "forward" in cls.__dict__:
        cls._alone = cls.__dict__["forward"]

    def forward(ctx: Any, *args: Any) -> Any:
        output = cls._alone(*args)
        cls.setup_context(ctx, args, output)
        return output

    cls.forward = staticmethod(forward)


def _output(ctx: Function, result: Any, args: tuple[Any, ...]) -> Any:
    """Wrap one result of forward in a variable of its own."""
    if type(result) is not numpy.ndarray:
        if result is None or (ctx._dirty and one_of(result, ctx._dirty)):
            return result
        if isinstance(result, Variable):
            result = result._data
        elif type(result) not in type2backend and not isinstance(result, numpy.generic):
            return result  # what is no tensor is handed through
    output = wrap(result)
    view = output._data.base is not None
    for a in args:  # memory handed through: an in-place change of either must be noticed
        if isinstance(a, Variable) and (
            a._data is result or (view and owner_of(a._data) is owner_of(result))
        ):
            output._version_box = a._version_box
            leaf = a._requires_grad and a._grad_fn is None
            output._base = a if leaf or a._base is None else a._base
            output._seen = a._version_box[0]
            output._view = ctx._way(output._base, args)
    return output


def _record(
    ctx: Function, args: tuple[Any, ...], results: tuple[Any, ...], outputs: tuple[Any, ...]
) -> None:
    """Make ``ctx`` the graph's node that leads to ``outputs``."""
    ctx.sequence = next(clock)
    described = ctx.outputs = []
    dirty, inert = ctx._dirty, ctx._inert
    if dirty and not all(one_of(d, results) for d in dirty):
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as "
            "output. The inputs that are modified inplace must all be outputs of the Function."
        )
    for nr, output in enumerate(outputs):
        if not isinstance(output, Variable):
            described.append(None)
            continue
        data = output._data
        dtype = data.dtype
        described.append((data.shape, dtype, data.__class__))
        if dtype.kind not in FLOATING or (inert and one_of(results[nr], inert)):
            continue
        if dirty and output is results[nr]:
            output._check_in_place(True)
            output._rebase(ctx.place(wrap(data), nr))
        else:
            output._grad_fn, output._output_nr, output._requires_grad = ctx, nr, True
    if dirty:
        _touch(ctx)
    if ctx._saved:
        kept: list[Any] = []
        for value in ctx._saved:
            if type(value) not in _PLAIN:
                value = saved(ctx, value, args, results, outputs)
                if in_force and pairs.stack:
                    value = _packed(ctx, value[0])
            kept.append(value)
        ctx._saved = kept


def _touch(ctx: Function) -> None:
    for variable in ctx._dirty:
        variable._version_box[0] += 1


def _packed(node: Function | None, value: Variable | Output) -> Packed:
    """A saved value as the hooks in force want it kept; outputs are those of ``node``."""
    pair = pairs.stack[-1]
    if isinstance(value, Output):
        assert node is not None
        nr = value.nr
        return Packed(value.linked(node), pair, lambda again, node: node.place(again, nr))
    fn, nr, leaf = value._grad_fn, value._output_nr, value
    if fn is not None:
        return Packed(value, pair, lambda again, node: fn.place(again, nr))
    if value._requires_grad:  # the graph leads there anyway
        return Packed(value, pair, lambda again, node: _Again.apply(leaf, again._data))
    return Packed(value, pair, lambda again, node: again)


def keep_input(variable: Variable) -> Variable | Packed:
    """A tensor that is kept for a backward, as the hooks in force want it."""
    return _packed(None, variable) if pairs.stack else variable


class _Again(Function):
    """The value of a leaf, brought from elsewhere."""

    @staticmethod
    def forward(ctx: Any, leaf: Tensor, array: Array) -> Array:
        return array

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return dy, None
