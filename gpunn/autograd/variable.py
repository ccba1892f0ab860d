"""The graph's variable: an array, its gradient, its place in the graph; no operators."""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeGuard, TypeVar

from numpy import asarray, generic, ndarray

from gpunn.autograd.grad_mode import enable_grad, thread
from gpunn.backends import type2backend
from gpunn.dtype import FLOATING

if TYPE_CHECKING:
    from gpunn.autograd.function import Function
    from gpunn.autograd.node import Node
    from gpunn.autograd.views import View
    from gpunn.tensor import Tensor

T = TypeVar("T")
Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray: the backends' business
Hook: TypeAlias = "Callable[[Tensor], Tensor | None]"
# How a view was taken from its base: the way to its parent, then the last step.
Way: TypeAlias = "tuple[Way | None, type[View], tuple[Any, ...]]"

_LEAF_IN_PLACE = (
    "leaf Variable that requires grad is being used in an in-place operation. Change it inside "
    "gpunn.no_grad(), or compute a new tensor"
)
_NO_LEAF = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
    "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
    "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you "
    "access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead."
)
# What is said of views that may not be changed, by how they were made.
NO_GRAD_VIEW = "A view was created in no_grad mode"
IN_FUNCTION = "Output 0 of {} is a view"
_MODIFIED = " and is being modified inplace"
_MODIFIED_BASE = " and its base or another view of its base has been modified inplace"
_CLARIFY = (
    " with grad mode enabled. Given that this use case is ambiguous and error-prone, it is "
    "forbidden. You can clarify your code by moving both the view and the inplace either both "
    "inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if "
    "you want the inplace to be tracked)."
)
_OVERRIDE = (
    ". This view was created inside a custom Function (or because an input was returned as-is) and "
    "the autograd logic to handle view+inplace would override the custom backward associated with "
    "the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix "
    "this by cloning the output of the custom Function."
)


def _refused_view(view: str, change: str) -> RuntimeError:
    return RuntimeError(view + change + (_CLARIFY if view == NO_GRAD_VIEW else _OVERRIDE))


# The hooks of leaves, by id, to be called when their gradients have been added; few have any.
after_accumulation: dict[int, OrderedDict[int, Callable[[Any], Any]]] = {}


class Variable:
    """What autograd records. ``Tensor`` is its one subclass and adds the operators.

    Memory shared by several variables shares one version counter ``_version_box``; every in-place
    change adds one, so that backward can refuse a saved value that has changed since.
    A view remembers the variable that owns the memory's history (``_base``) and the way from there
    (``_view``): when the memory changes in place, the view's history is derived from the base anew.
    Where there is no such way, ``_view`` is the reason, and a recorded change raises.
    """

    __slots__ = (
        "__weakref__",
        "_base",
        "_data",
        "_grad",
        "_grad_fn",
        "_hooks",
        "_output_nr",
        "_requires_grad",
        "_seen",
        "_version_box",
        "_view",
    )

    def __init__(self, data: Array) -> None:
        self._data: Array = data
        self._grad: Tensor | None = None
        self._grad_fn: Node | None = None
        self._output_nr = 0
        self._requires_grad = False
        self._version_box = [0]
        self._base: Variable | None = None
        self._view: Way | str = ""
        self._seen = 0
        self._hooks: OrderedDict[int, Hook] | None = None

    # Data ---------------------------------------------------------------------------------

    def _set_data(self, value: object) -> None:
        array = value._data if isinstance(value, Variable) else value
        _ = type2backend[type(array)]  # refuses what is no array
        self._data = array
        self._version_box[0] += 1  # who saved this variable saved other values

    data = property(attrgetter("_data"), _set_data, doc="The array: numpy.ndarray or cupy.ndarray.")

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient, or None; warns where there is never one."""
        if self._grad is None and self._grad_fn is not None and not self.retains_grad:
            warnings.warn(_NO_LEAF, UserWarning, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Variable):
                raise TypeError(
                    "assigned grad expected to be a Tensor or None but got grad of type "
                    f"{type(value).__name__}"
                )
            if value._data.shape != self._data.shape:
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(value._data.shape)}' to a "
                    f"tensor of size '{list(self._data.shape)}'. Please ensure that the gradient "
                    "and the tensor are the same size"
                )
            if value._data.dtype != self._data.dtype:
                raise RuntimeError(
                    f"attempting to assign a gradient with dtype '{value._data.dtype}' to a tensor "
                    f"with grad_dtype '{self._data.dtype}'. The gradient must match the tensor's "
                    "dtype"
                )
        self._grad = value

    # Place in the graph -------------------------------------------------------------------

    def _sync(self) -> None:
        """Derive a view's history anew if its memory has changed in place since."""
        base = self._base
        if base is None or self._seen == self._version_box[0]:
            return
        base._sync()  # it may itself be a view, that was made a leaf
        if not base._requires_grad:
            return
        if isinstance(self._view, str):
            if base._grad_fn is not None:
                raise _refused_view(self._view, _MODIFIED_BASE)
            return
        self._seen = self._version_box[0]
        fresh: Variable = base
        with enable_grad():
            for view, args in steps(self._view):
                fresh = view.apply(fresh, *args)
        self._set_history(fresh)

    def _set_history(self, new: Variable) -> None:
        """Have the history of ``new``; a gradient to be retained is that of the new value."""
        before, nr = self._grad_fn, self._output_nr
        self._grad_fn, self._output_nr = new._grad_fn, new._output_nr
        self._requires_grad = new._requires_grad
        if before is not None and before.waiting is not None and self._grad_fn is not None:
            reference = before.waiting.retained.get(nr)
            if reference is not None and reference() is self:
                del before.waiting.retained[nr]
                self._grad_fn.wait().retained[self._output_nr] = reference

    @property
    def grad_fn(self) -> Node | None:
        """The Function that made this variable; None for a leaf."""
        self._sync()
        return self._grad_fn

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this variable."""
        if self._base is not None and not isinstance(self._view, str):
            self._sync()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not value and self.grad_fn is not None:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a "
                "computed variable in a subgraph that doesn't require differentiation use "
                "var_no_grad = var.detach()."
            )
        if value and self._data.dtype.kind not in FLOATING:
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients, "
                f"got {self._data.dtype}"
            )
        self._requires_grad = bool(value)

    @property
    def is_leaf(self) -> bool:
        """True unless an operation that was recorded made this variable."""
        return self.grad_fn is None

    @property
    def output_nr(self) -> int:
        """Which output of ``grad_fn`` this is."""
        self._sync()
        return self._output_nr

    @property
    def _version(self) -> int:
        return self._version_box[0]

    # Changing in place --------------------------------------------------------------------

    def _alias(self) -> Tensor:
        """Another variable with this one's array, version counter and history."""
        other = wrap(self._data)
        other._version_box = self._version_box
        other._grad_fn, other._output_nr = self.grad_fn, self._output_nr
        other._requires_grad = self._requires_grad
        return other

    def _check_in_place(self, recorded: bool) -> None:
        """Refuse an in-place change that backward could not follow; call while recording."""
        base = self._base
        if base is not None and isinstance(self._view, str):
            if recorded or base._requires_grad:
                raise _refused_view(self._view, _MODIFIED)
        elif recorded or (base is not None and base._requires_grad):
            for variable, article in ((self, "a "), (base, "a view of a ")):
                if variable is not None and variable._requires_grad and variable.is_leaf:
                    raise RuntimeError(article + _LEAF_IN_PLACE)

    def _rebase(self, new: Variable) -> None:
        """Take over the history of ``new``, the value just written in place."""
        if self._base is None:
            self._set_history(new)
        else:  # the base now holds ``new`` where this view lies; _sync derives the rest
            self._base._set_history(Variable._scatter.apply(self._base._alias(), new, self._view))
            self._seen = -1

    _scatter: ClassVar[type[Function]]  # set by views.py

    # Hooks --------------------------------------------------------------------------------

    def register_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(grad)`` when this variable's gradient is known; what it returns replaces it.

        Raises RuntimeError if the variable does not require a gradient.
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._grad_fn is not None:
            return RemovableHandle.add(self._grad_fn.wait().hooks[self._output_nr], hook)
        if self._hooks is None:
            self._hooks = OrderedDict()
        return RemovableHandle.add(self._hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call ``hook(variable)`` after ``backward`` has added to this leaf's ``.grad``.

        Raises RuntimeError if the variable is no leaf, or does not require a gradient.
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._grad_fn is not None:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        hooks = after_accumulation.get(id(self))
        if hooks is None:
            hooks = after_accumulation[id(self)] = OrderedDict()
            weakref.finalize(self, after_accumulation.pop, id(self), None)
        return RemovableHandle.add(hooks, hook)

    def retain_grad(self) -> None:
        """Keep ``.grad`` of this non-leaf variable in backward."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._grad_fn is not None:
            self._grad_fn.wait().retained[self._output_nr] = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether this non-leaf variable keeps its gradient."""
        if self.grad_fn is None or self._grad_fn is None or self._grad_fn.waiting is None:
            return False
        reference = self._grad_fn.waiting.retained.get(self._output_nr)
        return reference is not None and reference() is self


class RemovableHandle:
    """Removes a hook: ``handle.remove()``, or leaving ``with handle:``."""

    _next_id = 0

    def __init__(self, hooks: OrderedDict[int, Any]) -> None:
        self._hooks = weakref.ref(hooks)
        self.id = RemovableHandle._next_id
        RemovableHandle._next_id += 1

    @classmethod
    def add(cls, hooks: OrderedDict[int, Any], hook: Callable[..., Any]) -> RemovableHandle:
        """Register ``hook`` in ``hooks``."""
        handle = cls(hooks)
        hooks[handle.id] = hook
        return handle

    def remove(self) -> None:
        """Take the hook out; nothing happens the second time."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def steps(way: Way) -> list[tuple[type[View], tuple[Any, ...]]]:
    """The steps of ``way``, the base's first."""
    found: list[tuple[type[View], tuple[Any, ...]]] = []
    rest: Way | None = way
    while rest is not None:
        rest, view, args = rest
        found.append((view, args))
    return found[::-1]


_concrete: Any = Variable  # what `wrap` makes
_new, _init = object.__new__, Variable.__init__  # without what a subclass's constructor adds


def concrete(cls: type[T]) -> type[T]:
    """Decorates the one class of tensors, which below it are made by ``wrap``."""
    global _concrete
    _concrete = cls
    return cls


def wrap(array: Array) -> Tensor:
    """A tensor that holds ``array``; NumPy scalars, which its reductions return, become 0-d."""
    if type(array) is not ndarray and issubclass(array.__class__, generic):
        array = asarray(array)
    tensor = _new(_concrete)
    _init(tensor, array)
    return tensor


def owner_of(array: Array) -> Array:
    """The array whose memory ``array`` is, if that is another."""
    base = array.base
    return base if type(base) is type(array) else array


def is_sequence(obj: object) -> TypeGuard[Sequence[Any]]:
    """Whether ``obj`` is a list, tuple or range."""
    return isinstance(obj, (list, tuple, range))


def recording(*variables: object) -> bool:
    """Whether an operation on ``variables`` is recorded now."""
    return thread.mode.enabled and any(
        isinstance(v, Variable) and v.requires_grad for v in variables
    )
