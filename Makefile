# The project's jobs. Each one makes .venv and installs what it needs on its first run.
#
#   make demo    train the example on real digits   (options: make demo ARGS="--epochs 2")
#   make test    the tests                          (options: make test ARGS="-k conv -x")
#   make lint    every static check                 make format    let the formatters mend
#   make docs    the documentation, into docs/_build/html
#   make bench   the benchmarks                     make dist      sdist and wheel, into dist/
#   make gpu     tests and benchmarks of CUDA, on a machine with a GPU   (make gpu CUDA=cuda12)
#   make clean   remove what the jobs made

SHELL := /bin/sh
VENV  := .venv
BIN   := $(VENV)/bin
PYTHONS = $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)
CUDA_SOURCES = $(wildcard kernels/*.cu kernels/*.cuh)

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs bench gpu dist clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.demo
	@$(BIN)/python -m gpunn.examples.mnist $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.lint $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(if $(CUDA_SOURCES),$(BIN)/clang-format --dry-run --Werror $(CUDA_SOURCES))

format: $(VENV)/.lint
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(if $(CUDA_SOURCES),$(BIN)/clang-format -i $(CUDA_SOURCES))

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going -q docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"

# Beside gpunn, what .venv has of them: .venv/bin/pip install torch "jax[cpu]" "mlx[cpu]"
bench: $(VENV)/.bench
	$(BIN)/python -m pytest bench --benchmark-group-by=func,param:case \
	    --benchmark-columns=min,median,ops $(ARGS)

CUDA = cuda13# the driver's: cuda13 or cuda12
gpu: $(VENV)/.test $(VENV)/.bench $(VENV)/.$(CUDA)
	$(BIN)/python -m pytest tests/kernels tests/cuda $(ARGS)
	$(BIN)/python -m pytest bench -k "cuda or launcher" --benchmark-group-by=func,param:case \
	    --benchmark-columns=min,median,ops --benchmark-json=gpu.json $(ARGS)

dist: $(VENV)/.dist
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist docs/_build .pytest_cache .hypothesis .ruff_cache .import_linter_cache

# .venv/.X stands for "installed with the extra X"; only a change of pyproject.toml installs again.
$(VENV)/.dist: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet build
	@touch $@

$(VENV)/.%: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

# pip comes last into a new environment, so a half-made one is made again.
$(BIN)/pip:
	@python=; \
	for p in $(PYTHONS); do \
	    if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        python=$$p; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "gpunn needs Python 3.11 or newer; tried: $(PYTHONS). Name one: make PYTHON=/path/to/python3" >&2; \
	    exit 2; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$python cannot make virtual environments: install them first (Debian, Ubuntu: sudo apt install python3-venv)." >&2; \
	    exit 2; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV)
