"""PTX text to variables, functions and kernels, whose bodies `gpunn.sim.decoder` reads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpunn.sim.syntax import SIZES, Immediate, Kernel, Link, PtxError, Variable


@dataclass(slots=True)
class Function:
    """A device function that was not inlined."""

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


_ADDRESS = re.compile(r"(?:generic\(\s*([\w$]+)\s*\)|([\w$]+))\s*(?:\+\s*(\d+))?")


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
        self.functions: dict[str, Function] = {}
        position = 0
        while match := _HEAD.search(text, position):
            if match["declaration"]:
                variable = declared(match["declaration"], match["space"])
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
            self.functions[name] = Function(_parameters(results), _parameters(parameters), body)
            return
        found = {
            key: int(x) * int(y or 1) * int(z or 1)
            for key, x, y, z in re.findall(
                r"\.(maxntid|reqntid)\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?", limits
            )
        }
        self.kernels[name] = Kernel(name, _parameters(parameters), found, body)


def _closing(text: str, start: int) -> int:
    depth = 0
    for match in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if match.group() == "{" else -1
        if depth == 0:
            return match.end()
    raise PtxError("a brace is never closed")


def declared(text: str, space: str) -> Variable:
    """The variable of a declaration."""
    match = _VARIABLE.match(text.strip())
    if match is None:
        raise PtxError(f"cannot read the declaration {text.strip()!r}")
    before, type, name, count, initial = match.groups()
    size = SIZES[type]
    align = re.search(r"\.align\s+(\d+)", before)
    data, links = b"", list[Link]()
    for value in split((initial or "").strip("{} \n")):
        if re.match(r"-?\.?\d", value):
            data += Immediate(value).bits(type).to_bytes(size, "little")
            continue
        address = _ADDRESS.fullmatch(value)
        if address is None:
            raise PtxError(f"cannot read the initial value {value!r} of {name}")
        links.append((len(data), address[1] or address[2], int(address[3] or 0)))
        data += bytes(size)
    total = size * int(count) if count else 0 if count == "" else size
    return Variable(
        name,
        space,
        int(align[1]) if align else size,
        total,
        data.ljust(total, b"\0"),
        dynamic=count == "",
        type=type,
        links=tuple(links),
    )


def _parameters(text: str | None) -> list[Variable]:
    out: list[Variable] = []
    for part in re.findall(r"\.param\s+([^,)]*)", text or ""):
        variable = declared(part, "param")
        end = out[-1].offset + out[-1].size if out else 0
        variable.offset = round_up(end, variable.align)
        out.append(variable)
    return out


def round_up(n: int, align: int) -> int:
    """The next multiple of ``align``."""
    return -(-n // align) * align


def split(text: str) -> list[str]:
    """At the commas outside brackets."""
    parts, depth, start = list[str](), 0, 0
    for i, c in enumerate(text):
        depth += (c in "{[(") - (c in "}])")
        if c == "," and not depth:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()] if text.strip() else []
