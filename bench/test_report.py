"""The report: its page names every row, and its comparison finds the rows that got slower."""

import json
import sys
from pathlib import Path

import pytest

from bench import report
from bench.rows import ROWS, SWEEPS


def result(ours: float, theirs: float = 2.0) -> dict:
    names = [*ROWS, *(f"{sweep} {n}" for sweep, sizes in SWEEPS.items() for n in sizes)]
    return {
        "machine": {"cpu": "a processor", "cores": 2, "numpy": "2.0", "date": "2026-01-01"},
        "time": {name: {"gpunn": [ours, ours], "torch": [theirs, theirs]} for name in names},
    }


def test_page_and_plots(tmp_path: Path):
    text = report.page(result(1.0), "torch")
    assert all(f"| {name} | 1000.000 | 2000.000 | 2.00 |" in text for name in ROWS)
    assert "geometric mean is **2.00**" in text
    report.plots(result(1.0), "torch", tmp_path)
    kinds = {p.name for p in tmp_path.iterdir()}
    assert kinds == {f"bench-{n}.{k}" for n in ("ratios", "sweeps") for k in ("png", "svg")}


def test_page_with_other_frameworks(tmp_path: Path):
    found = result(1.0)
    found["machine"]["jax"] = "0.7"
    for name, row in found["time"].items():
        if name != "relu":
            row["jax"] = [0.5, 0.5]
    found["memory"] = {"MLP, Adam, batch 32": {"gpunn": 2**20, "torch": 2**21, "jax": 2**22}}
    found["start"] = {"MLP, Adam, batch 32": {f: [0.1, 0.2] for f in ("gpunn", "torch", "jax")}}
    found["size"] = {"gpunn": 1e6, "torch": 1e8, "jax": 1e7}
    text = report.page(found, "torch")
    assert "jax 0.50 over 22 rows." in text
    assert "| gelu | 1000.000 | 2000.000 | 2.00 | 500.000 | 0.50 |" in text
    assert "| relu | 1000.000 | 2000.000 | 2.00 | - | - |" in text
    assert "| MLP, Adam, batch 32 | 1.0 | 2.0 | 0.50 | 4.0 |" in text
    assert "| size of the package alone, MB | 1.0 | 100.0 | 10.0 |" in text
    report.plots(found, "torch", tmp_path)
    assert "jax" in (tmp_path / "bench-sweeps.svg").read_text()


@pytest.mark.parametrize(("ours", "theirs", "slow"), [(1.0, 2.0, 0), (1.5, 2.0, 1), (1.5, 3.0, 0)])
def test_comparison(tmp_path: Path, monkeypatch, capsys, ours: float, theirs: float, slow: int):
    files = [tmp_path / "old.json", tmp_path / "new.json"]
    for file, content in zip(files, (result(1.0), result(ours, theirs)), strict=True):
        file.write_text(json.dumps(content))
    monkeypatch.setattr(sys, "argv", ["report", "--compare", *map(str, files)])
    with pytest.raises(SystemExit) as end:
        report.main()
    assert bool(end.value.code) == bool(slow)
    shown = capsys.readouterr().out
    assert ("1.50 times as slow" in shown) == bool(slow)
