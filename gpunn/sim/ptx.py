"""PTX text to instructions: scopes, registers, variables, labels and source lines, but no meanings.

A device function that is not inlined by the compiler (the slow path of ``sin``, say) is inlined
here at each call: its parameters become variables in local memory, its ``ret`` a branch.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from gpunn.sim.sources import Line

SIZES = {
    **dict.fromkeys(("b8", "u8", "s8"), 1),
    **dict.fromkeys(("b16", "u16", "s16", "f16", "bf16"), 2),
    **dict.fromkeys(("b32", "u32", "s32", "f32", "tf32", "f16x2", "bf16x2"), 4),
    **dict.fromkeys(("b64", "u64", "s64", "f64"), 8),
    "b128": 16,
    "pred": 1,
}
BUILT_IN = ("__assertfail", "vprintf")  # functions of the driver: called, not inlined


class PtxError(Exception):
    """PTX that the simulator cannot read or run."""


@dataclass(slots=True)
class Variable:
    """A named piece of memory; its offset is known once its module or kernel is laid out."""

    name: str
    space: str
    align: int
    size: int
    data: bytes = b""
    dynamic: bool = False
    offset: int = 0
    type: str = ""


@dataclass(frozen=True, slots=True)
class Register:
    """A virtual register: its number in the kernel and its declared type."""

    slot: int
    type: str


@dataclass(frozen=True, slots=True)
class Immediate:
    """A literal; how it reads depends on the instruction's type."""

    text: str

    def bits(self, type: str) -> int:
        """The literal's bits as a value of ``type``."""
        text = self.text.rstrip("U")
        size, kind = SIZES[type], text[:2].lower()
        if kind in ("0f", "0d"):
            code = "<f" if kind == "0f" else "<d"
            value = struct.unpack(
                code, int(text[2:], 16).to_bytes(4 if kind == "0f" else 8, "little")
            )
            if size == (4 if kind == "0f" else 8):
                return int(text[2:], 16)
            return int.from_bytes(struct.pack("<d" if size == 8 else "<f", value[0]), "little")
        if "." in text:
            code = "<d" if size == 8 else "<f"
            return int.from_bytes(struct.pack(code, float(text)), "little")
        return int(text, 0) & ((1 << 8 * size) - 1)


@dataclass(frozen=True, slots=True)
class Special:
    """A read-only register such as ``%tid.x``."""

    name: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """The address of a variable plus an offset."""

    variable: Variable
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """``[base+offset]``."""

    base: Operand
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Vector:
    """``{a, b, ...}``."""

    items: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """``p|q``, two destinations; the second may be the sink ``_``."""

    first: Operand
    second: Operand


@dataclass(frozen=True, slots=True)
class Not:
    """``!p``."""

    register: Register


@dataclass(frozen=True, slots=True)
class Name:
    """A word that no declaration knows: a label, a function, a target list, the sink ``_``."""

    text: str


Operand = Register | Immediate | Special | Symbol | Address | Vector | Pair | Not | Name


@dataclass(slots=True)
class Instruction:
    """One instruction: ``lines`` is its source line and the lines it was inlined at, inside out."""

    text: str
    opcode: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: Register | Not | None
    lines: tuple[Line, ...]
    targets: tuple[int, ...] = ()


@dataclass(slots=True)
class Kernel:
    """An entry function: parameters at once, instructions when it is first asked for."""

    name: str
    parameters: list[Variable]
    limits: dict[str, int]
    body: str
    slots: int = 0
    types: dict[int, str] = field(default_factory=dict[int, str])  # of each register
    shared: int = 0
    local: int = 0
    dynamic: Variable | None = None
    code: list[Instruction] = field(default_factory=list[Instruction])


@dataclass(slots=True)
class _Function:
    results: list[Variable]
    parameters: list[Variable]
    body: str


_TYPE = r"\.(b8|u8|s8|b16|u16|s16|f16|bf16|b32|u32|s32|f32|b64|u64|s64|f64)\b"
_HEAD = re.compile(
    r"(?:\.(?:visible|weak|extern)\s+)*\.(?P<kind>entry|func)\b"
    r"|(?P<declaration>(?:\.(?:visible|weak|extern|common)\s+)*\.(?P<space>global|const|shared)\s[^;]*);"
)
_VARIABLE = re.compile(
    rf"(.*?){_TYPE}(?:\s*\.ptr(?:\s*\.\w+)*(?:\s+\d+)?)?\s+([\w$%]+)\s*(?:\[(\d*)\])?\s*(?:=\s*(.*))?$",
    re.S,
)
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


class Module:
    """The variables, functions and kernels of one PTX text."""

    def __init__(self, text: str) -> None:
        self.files = {
            int(n): name for n, name in re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', text, re.M)
        }
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
        text = re.sub(r"\.section\s+\.debug\w*\s*\{.*?\n\s*\}", "", text, flags=re.S)
        self.kernels: dict[str, Kernel] = {}
        self.variables: dict[str, Variable] = {}
        self.functions: dict[str, _Function] = {}
        position = 0
        while match := _HEAD.search(text, position):
            if match["declaration"]:
                variable = _variable(match["declaration"], match["space"])
                self.variables[variable.name] = variable
                position = match.end()
                continue
            brace = re.compile(r"[{;]").search(text, match.end())
            if brace is None:
                raise PtxError(f"no end to {text[match.start() : match.start() + 80]!r}")
            position = brace.end()
            if brace.group() == "{":
                head, position = text[match.end() : brace.start()], _closing(text, brace.start())
                self._define(match["kind"], head, text[brace.end() : position - 1])

    def _define(self, kind: str, head: str, body: str) -> None:
        match = re.match(r"\s*(\([^)]*\))?\s*([\w$]+)\s*(\([^)]*\))?(.*)$", head, re.S)
        if match is None:
            raise PtxError(f"cannot read the head of a function: {head!r}")
        results, name, parameters, limits = match.groups()
        if kind == "func":
            self.functions[name] = _Function(_parameters(results), _parameters(parameters), body)
            return
        found = {
            key: int(x) * int(y or 1) * int(z or 1)
            for key, x, y, z in re.findall(
                r"\.(maxntid|reqntid)\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?", limits
            )
        }
        self.kernels[name] = Kernel(name, _parameters(parameters), found, body)

    def kernel(self, name: str) -> Kernel:
        """The kernel with its instructions."""
        kernel = self.kernels[name]
        if not kernel.code:
            _Decoder(self, kernel).decode()
        return kernel


def _closing(text: str, start: int) -> int:
    depth = 0
    for match in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return match.end()
    raise PtxError("a brace is never closed")


def _variable(text: str, space: str) -> Variable:
    match = _VARIABLE.match(text.strip())
    if match is None:
        raise PtxError(f"cannot read the declaration {text.strip()!r}")
    before, type, name, count, initial = match.groups()
    size = SIZES[type]
    align = re.search(r"\.align\s+(\d+)", before)
    data = b""
    if initial:
        values = re.findall(r"0[fFdD][0-9a-fA-F]{8,16}|-?0[xX][0-9a-fA-F]+|-?\d+", initial)
        data = b"".join(Immediate(v).bits(type).to_bytes(size, "little") for v in values)
    total = size * int(count) if count else 0 if count == "" else size
    return Variable(
        name,
        space,
        int(align[1]) if align else size,
        total,
        data.ljust(total, b"\0"),
        dynamic=count == "",
        type=type,
    )


def _parameters(text: str | None) -> list[Variable]:
    out: list[Variable] = []
    for part in re.findall(r"\.param\s+([^,)]*)", text or ""):
        variable = _variable(part, "param")
        end = out[-1].offset + out[-1].size if out else 0
        variable.offset = _round_up(end, variable.align)
        out.append(variable)
    return out


def _round_up(n: int, align: int) -> int:
    return -(-n // align) * align


def _split(text: str) -> list[str]:
    """At the commas outside brackets."""
    parts, depth, start = list[str](), 0, 0
    for i, c in enumerate(text):
        depth += (c in "{[(") - (c in "}])")
        if c == "," and not depth:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()] if text.strip() else []


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
            self.kernel.shared = _round_up(self.kernel.shared, align)
            self.kernel.dynamic.offset = self.kernel.shared

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
                self.lists[label] = [prefix + t for t in _split(match["targets"].split(None, 1)[1])]
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
        variable = _variable(rest, space)
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
            variable.offset = _round_up(kernel.shared, variable.align)
            kernel.shared = variable.offset + variable.size
        else:
            variable.space = "local"
            variable.offset = _round_up(kernel.local, variable.align)
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
            return Vector(tuple(self.operand(t) for t in _split(text[1:-1])))
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
        parts = _split(" ".join(arguments.split()))
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
        groups = [_split(p[1:-1]) for p in parts if p.startswith("(")]
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
