"""Sphinx: MyST pages, the API reference from the docstrings, furo's looks."""

import re
from typing import Any

from sphinx.application import Sphinx

import gpunn

project = "gpunn"
author = "The gpunn authors"
copyright = "2026, The gpunn authors"
version = release = gpunn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"gpunn {version}"

default_role = "code"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
suppress_warnings = ["ref.python"]  # `device` in an annotation: gpunn.device or gpunn.cuda.device
toc_object_entries_show_parents = "hide"


def take_formulas_as_written(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Docstrings are plain text with ``code``: |x| and 2 * k are no markup."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[i] = re.sub(r"(``.*?``)|([|*])", lambda m: m[1] or "\\" + m[2], line)


def setup(app: Sphinx) -> None:
    """Register the rule above."""
    app.connect("autodoc-process-docstring", take_formulas_as_written)
