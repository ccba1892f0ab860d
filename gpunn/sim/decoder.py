"""A kernel's body to instructions: scopes, registers, labels and source lines, but no meanings.

A device function that is not inlined by the compiler (the slow path of ``sin``, say) is inlined
here at each call: its parameters become variables in local memory, its ``ret`` a branch.
"""

from __future__ import annotations

import re

from gpunn.sim.ptx import Module, declared, round_up, split
from gpunn.sim.sources import Line
from gpunn.sim.syntax import (
    Address,
    Immediate,
    Instruction,
    Kernel,
    Name,
    Not,
    Operand,
    Pair,
    PtxError,
    Register,
    Special,
    Symbol,
    Variable,
    Vector,
)

BUILT_IN = ("__assertfail", "vprintf")  # functions of the driver: called, not inlined

_STATEMENT = re.compile(
    r"""\s*(?:
      (?P<label>[\w$]+)\s*:(?!:)
    | (?P<loc>\.loc\s[^\n]*)
    | (?P<targets>\.branchtargets\s[^;]*);
    | (?P<skip>\.(?:pragma|callprototype)\s[^;]*;)
    | (?P<declaration>\.(?:reg|shared|local|param)\b[^;]*);
    | (?P<open>\{) | (?P<close>\})
    | (?P<text>[^;{}]+(?:\{[^{}]*\}[^;{}]*)*);
    )""",
    re.X,
)
_LOC = re.compile(r"\.loc\s+(\d+)\s+(\d+)\s+\d+(?:.*?inlined_at\s+(\d+)\s+(\d+))?")


def decoded(module: Module, name: str) -> Kernel:
    """The kernel with its instructions."""
    kernel = module.kernels[name]
    if not kernel.code:
        _Decoder(module, kernel).decode()
    return kernel


class _Decoder:
    def __init__(self, module: Module, kernel: Kernel) -> None:
        self.module, self.kernel = module, kernel
        self.scopes: list[dict[str, Register | Variable]] = []
        self.labels: dict[str, int] = {}
        self.lists: dict[str, list[str]] = {}
        self.jumps: list[tuple[Instruction, list[str]]] = []
        self.placed: set[str] = set()
        self.calls: list[str] = []
        self.parents: dict[Line, tuple[Line, ...]] = {}
        self.count = 0

    def decode(self) -> None:
        names = {p.name: p for p in self.kernel.parameters}
        self.body(self.kernel.body, dict(names), "", ())
        self.emit(
            "exit", ("exit",), (), None, self.kernel.code[-1].lines if self.kernel.code else ()
        )
        for instruction, labels in self.jumps:
            instruction.targets = tuple(self.labels[label] for label in labels)
        if self.kernel.dynamic:
            align = max(16, self.kernel.dynamic.align)
            self.kernel.shared = round_up(self.kernel.shared, align)
            self.kernel.dynamic.offset = self.kernel.shared
            self.kernel.arrays.append((self.kernel.shared, _own_name(self.kernel.dynamic.name)))

    def body(
        self, text: str, names: dict[str, Register | Variable], prefix: str, lines: tuple[Line, ...]
    ) -> None:
        """Decode a body; inside a call, labels carry a prefix and ``ret`` jumps to its end."""
        outer, self.scopes = self.scopes, [names, {}]
        position, label = 0, ""
        while match := _STATEMENT.match(text, position):
            position = match.end()
            if match["label"]:
                label = prefix + match["label"]
                self.labels[label] = len(self.kernel.code)
            elif match["loc"]:
                lines = self.location(match["loc"]) or lines
            elif match["targets"]:
                del self.labels[label]
                self.lists[label] = [prefix + t for t in split(match["targets"].split(None, 1)[1])]
            elif match["declaration"]:
                self.declare(match["declaration"])
            elif match["open"]:
                self.scopes.append({})
            elif match["close"]:
                self.scopes.pop()
            elif match["text"]:
                self.statement(match["text"].strip(), prefix, lines)
        if text[position:].strip():
            raise PtxError(f"cannot read {text[position:].strip()[:80]!r}")
        self.scopes = outer

    def location(self, text: str) -> tuple[Line, ...]:
        match = _LOC.match(text)
        if match is None or match[2] == "0":
            return ()
        line = self.module.files.get(int(match[1]), "?"), int(match[2])
        chain: tuple[Line, ...] = ()
        if match[3]:
            caller = self.module.files.get(int(match[3]), "?"), int(match[4])
            chain = (caller, *self.parents.get(caller, ()))
        self.parents[line] = chain
        return (line, *chain)

    def declare(self, text: str) -> None:
        space, rest = re.split(r"\s+|(?=\.)", text[1:], maxsplit=1)
        if space == "reg":
            type, names = rest.strip()[1:].split(None, 1)
            for name in names.split(","):
                name, _, count = name.strip().partition("<")
                for n in [f"{name}{i}" for i in range(int(count[:-1]))] if count else [name]:
                    self.scopes[-1][n] = Register(self.kernel.slots, type)
                    self.kernel.types[self.kernel.slots] = type
                    self.kernel.slots += 1
            return
        variable = declared(rest, space)
        self.scopes[-1][variable.name] = variable
        self.place(variable)

    def place(self, variable: Variable) -> None:
        """Give a shared, local or call-parameter variable its offset in this kernel."""
        kernel = self.kernel
        if variable.dynamic:
            if kernel.dynamic:  # several names, one memory
                variable.align = max(variable.align, kernel.dynamic.align)
            kernel.dynamic = variable
        elif variable.space == "shared":
            variable.offset = round_up(kernel.shared, variable.align)
            kernel.shared = variable.offset + variable.size
            kernel.arrays.append((variable.offset, _own_name(variable.name)))
        else:
            variable.space = "local"
            variable.offset = round_up(kernel.local, variable.align)
            kernel.local = variable.offset + variable.size

    def lookup(self, name: str) -> Register | Variable | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        variable = self.module.variables.get(name)
        if variable and variable.space == "shared" and name not in self.placed:
            self.placed.add(name)
            self.place(variable)
        return variable

    def operand(self, text: str) -> Operand:
        if text[0] == "{":
            return Vector(tuple(self.operand(t) for t in split(text[1:-1])))
        if text[0] == "[":
            base, _, offset = text[1:-1].strip().partition("+")
            return Address(self.operand(base.strip()), int(offset or "0", 0))
        if "|" in text:
            first, second = text.split("|")
            return Pair(self.operand(first.strip()), self.operand(second.strip()))
        if text[0] == "!":
            register = self.lookup(text[1:])
            if isinstance(register, Register):
                return Not(register)
        if re.match(r"-?\.?\d", text):
            return Immediate(text)
        found = self.lookup(text)
        if isinstance(found, Register):
            return found
        if found is not None:
            return Symbol(found)
        if text[0] == "%" or text == "WARP_SZ":
            return Special(text)
        name, plus, offset = text.partition("+")
        variable = self.lookup(name.strip()) if plus else None
        return Symbol(variable, int(offset, 0)) if isinstance(variable, Variable) else Name(text)

    def statement(self, text: str, prefix: str, lines: tuple[Line, ...]) -> None:
        guard, rest = None, text
        match = re.match(r"@(!?[%\w$]+)\s+", text)
        if match:
            found = self.operand(match[1])
            if not isinstance(found, (Register, Not)):
                raise PtxError(f"unknown predicate in {text!r}")
            guard, rest = found, text[match.end() :]
        mnemonic, _, arguments = (
            rest.partition(" ") if " " in rest.split("\t")[0] else rest.partition("\t")
        )
        opcode = tuple(mnemonic.strip().split("."))
        parts = split(" ".join(arguments.split()))
        if opcode[0] == "call":
            self.call(text, parts, guard, lines)
        elif opcode[0] == "ret" and prefix:
            self.jumps.append((self.emit(text, ("bra",), (), guard, lines), [prefix]))
        elif opcode[0] == "bra":
            self.jumps.append((self.emit(text, opcode, (), guard, lines), [prefix + parts[0]]))
        elif opcode[0] == "brx":
            index = (self.operand(parts[0]),)
            jump = self.emit(text, opcode, index, guard, lines)
            self.jumps.append((jump, self.lists[prefix + parts[1]]))
        else:
            self.emit(text, opcode, tuple(self.operand(p) for p in parts), guard, lines)

    def emit(
        self,
        text: str,
        opcode: tuple[str, ...],
        operands: tuple[Operand, ...],
        guard: Register | Not | None,
        lines: tuple[Line, ...],
    ) -> Instruction:
        text = " ".join(text.split())
        self.kernel.code.append(Instruction(text, opcode, operands, guard, lines))
        return self.kernel.code[-1]

    def call(
        self, text: str, parts: list[str], guard: Register | Not | None, lines: tuple[Line, ...]
    ) -> None:
        groups = [split(p[1:-1]) for p in parts if p.startswith("(")]
        name = next(p for p in parts if not p.startswith("("))
        results = groups.pop(0) if parts[0].startswith("(") else []
        arguments = groups[0] if groups else []
        if name in BUILT_IN:
            operands = tuple(self.operand(a) for a in (*arguments, *results))
            self.emit(text, ("call", name), operands, guard, lines)
            return
        function = self.module.functions.get(name)
        if function is None or name in self.calls or guard is not None:
            why = "no such function; calls through pointers are not simulated"
            why = "recursion" if name in self.calls else why
            raise PtxError(f"cannot call {name} ({why}): {' '.join(text.split())}")
        names: dict[str, Register | Variable] = {}
        formal = [*function.results, *function.parameters]
        for variable, actual in zip(formal, [*results, *arguments], strict=True):
            found = self.lookup(actual)
            if found is None:
                raise PtxError(f"unknown argument {actual} in {text!r}")
            names[variable.name] = found
        self.count += 1
        end = f"call {self.count} "
        self.calls.append(name)
        self.body(function.body, names, end, lines)
        self.calls.pop()
        self.labels[end] = len(self.kernel.code)


def _own_name(name: str) -> str:
    """What a variable is called in the source: a function's own is ``_ZZ...E4tile`` in PTX."""
    found = re.findall(r"E(\d+)(\w+)", name)
    return found[-1][1][: int(found[-1][0])] if name.startswith("_Z") and found else name
