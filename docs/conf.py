"""Sphinx: MyST pages, the API reference from the docstrings, furo's looks."""

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
nitpicky = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
