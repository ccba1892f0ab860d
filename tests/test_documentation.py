"""The Python in README, CONTRIBUTING and docs/ runs, and gives what the page says it gives."""

import doctest
import re
from pathlib import Path

import pytest

import gpunn.sim
from gpunn.sim.testing import ensure_cuda

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The blocks of a page run in order and share their names; `>>>` blocks are doctests."""
    if page.name in ("cuda.md", "kernels.md", "sim.md"):
        reason = ensure_cuda()
        if reason is not None or not gpunn.sim.installed():
            pytest.skip(reason or "CuPy uses the GPU here")
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": page.stem}
    parser = doctest.DocTestParser()
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(verbose=False, optionflags=options)
    for block in FENCE.finditer(text):
        source, line = block[1], text.count("\n", 0, block.start(1))
        if ">>>" not in source:
            exec(compile("\n" * line + source, page, "exec"), names)
            continue
        test = parser.get_doctest(source, names, page.name, str(page), line)
        report: list[str] = []
        runner.run(test, out=report.append, clear_globs=False)
        names.update(test.globs)
        assert not report, "".join(report)
