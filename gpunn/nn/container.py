"""Containers of modules: called in a row, in a list, under keys."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import chain
from typing import Any, Self, cast, overload

from gpunn.legacy import typename
from gpunn.nn.module import Module, body, indented


class _Row(Module):
    """Modules by position; what Sequential and ModuleList have in common."""

    _modules: dict[str, Module]  # pyright: ignore[reportIncompatibleVariableOverride]

    def _key(self, idx: int) -> str:
        keys = list(self._modules)
        position = operator.index(idx)
        if not -len(keys) <= position < len(keys):
            raise IndexError(f"index {position} is out of range")
        return keys[position]

    def _part(self, idx: slice) -> Self:
        raise NotImplementedError

    @overload
    def __getitem__(self, idx: int) -> Any: ...
    @overload
    def __getitem__(self, idx: slice) -> Self: ...
    def __getitem__(self, idx: int | slice) -> Any:
        return self._part(idx) if isinstance(idx, slice) else self._modules[self._key(idx)]

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, self._key(idx), module)

    def __delitem__(self, idx: int | slice) -> None:
        doomed = list(self._modules)[idx] if isinstance(idx, slice) else [self._key(idx)]
        self._number([m for name, m in self._modules.items() if name not in doomed])

    def _number(self, modules: Iterable[Module]) -> None:
        numbered = {str(i): module for i, module in enumerate(modules)}
        self._modules.clear()
        self._modules.update(numbered)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def append(self, module: Module) -> Self:
        """Add ``module`` at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add all ``modules`` at the end; returns self."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{type(self).__name__}.extend should be called with an iterable, but got "
                f"{type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put ``module`` before position ``index``; returns self. All are numbered anew."""
        if not isinstance(module, Module):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        modules = list(self)
        modules.insert(index, module)
        self._number(modules)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take the module (or modules) at ``key`` out."""
        taken = self[key]
        del self[key]
        return taken


class Sequential(_Row):
    """Modules called one after the other, each with the output of the one before.

    An OrderedDict gives the modules names: ``Sequential(OrderedDict(conv=..., relu=...))``. A
    slice is a Sequential of the same modules.
    """

    @overload
    def __init__(self, *args: Module) -> None: ...
    @overload
    def __init__(self, arg: OrderedDict[str, Module], /) -> None: ...
    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            named = cast("OrderedDict[str, Module]", args[0])
        else:
            named = OrderedDict[str, Module]((str(i), module) for i, module in enumerate(args))
        for name, module in named.items():
            self.add_module(name, module)

    def _part(self, idx: slice) -> Self:
        return type(self)(OrderedDict(list(self._modules.items())[idx]))

    def forward(self, input: Any) -> Any:
        """The output of the last module."""
        for module in self._modules.values():
            input = module(input)
        return input

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *_sequential(other))

    def __iadd__(self, other: Sequential) -> Self:
        return self.extend(_sequential(other))

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*list(self) * self._factor(other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        return self.extend(list(self) * (self._factor(other) - 1))

    def _factor(self, other: int) -> int:
        if not isinstance(other, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(other)}")
        if other <= 0:
            raise ValueError(f"Non-positive multiplication factor {other} for {type(self)}")
        return other


def _sequential(other: object) -> Sequential:
    if not isinstance(other, Sequential):
        raise ValueError(
            f"add operator supports only objects of Sequential class, but {type(other)} is given."
        )
    return other


class ModuleList(_Row):
    """A list of modules, registered; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def _part(self, idx: slice) -> Self:
        return type(self)(list(self._modules.values())[idx])

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList(chain(self, other))

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __repr__(self) -> str:
        runs: list[tuple[int, int, str]] = []  # first, last, text of equal neighbours
        for i, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1] = runs[-1][0], i, text
            else:
                runs.append((i, i, text))
        lines = [
            f"({first}): {text}"
            if first == last
            else f"({first}-{last}): {last - first + 1} x {text}"
            for first, last, text in runs
        ]
        return body(self._get_name(), [indented(line) for line in lines])


class ModuleDict(Module):
    """A dict of modules under string keys, registered, in the order of insertion."""

    _modules: dict[str, Module]  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Take the module at ``key`` out."""
        return self._modules.pop(key)

    def keys(self) -> KeysView[str]:
        """The keys."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Module]:
        """Pairs of key and module."""
        return self._modules.items()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add the modules of a mapping, or of pairs, in their order."""
        for key, module in pairs_of("ModuleDict", modules):
            self[key] = module


def pairs_of(owner: str, given: Any) -> list[tuple[str, Any]]:
    """What ``update`` was given, as pairs."""
    if not isinstance(given, Iterable):
        raise TypeError(
            f"{owner}.update should be called with an iterable of key/value pairs, but got "
            f"{type(given).__name__}"
        )
    if hasattr(cast("object", given), "items"):  # a mapping, or one of our own
        return list(cast("Mapping[str, Any]", given).items())
    pairs: list[tuple[str, Any]] = []
    for i, pair in enumerate(cast("Iterable[Any]", given)):
        if not isinstance(pair, Iterable):
            raise TypeError(
                f"{owner} update sequence element #{i} should be Iterable; is {type(pair).__name__}"
            )
        both = tuple(cast("Iterable[Any]", pair))
        if len(both) != 2:
            raise ValueError(
                f"{owner} update sequence element #{i} has length {len(both)}; 2 is required"
            )
        pairs.append(both)
    return pairs
