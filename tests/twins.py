"""One source run twice: as it stands, and with the other library in place of its own."""

from __future__ import annotations

import re
import types
from pathlib import Path


def twin(path: str | Path, **instead: str) -> types.ModuleType:
    """The module at ``path`` after each word has been replaced: ``twin(path, torch="gpunn")``."""
    source = Path(path).read_text(encoding="utf-8")
    for old, new in instead.items():
        source = re.sub(rf"\b{old}\b", new, source)
    module = types.ModuleType(f"twin_of_{Path(path).stem}")
    exec(compile(source, str(path), "exec"), vars(module))
    return module
