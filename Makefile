# Each set-up is a stamp file: it runs again only when pyproject.toml changes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check lint bench bench-gpu docs support clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-all: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed-all

$(VENV)/.installed-bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev,bench]'
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed-all

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@ $(VENV)/.installed-all

demo: $(VENV)/.installed-all  ## Train, convert and compare on the embedded digits; writes out/demo
	$(BIN)/spikewright demo --output out/demo

test: $(VENV)/.installed-dev  ## Run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev  ## Check format, lint rules and types
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pyright --pythonpath $(BIN)/python

# make bench BENCH='resnet20 --weights FILE --data FOLDER'; without BENCH everything, random weights
bench: $(VENV)/.installed-bench  ## Measure against the ANN and SpikingJelly; says which ratios moved
	$(BIN)/python -m benchmarks run $(BENCH)

# SpikingJelly takes its CUDA kernels where they are built, else Triton's; SJ_IF_CUDA_IMPLEMENTATION=triton compares these
bench-gpu: $(VENV)/.installed-bench  ## The same on a CUDA GPU in 8 minutes: ResNet-50 and ViT-B/16
	$(BIN)/python -m benchmarks run resnet50-224 vit-b16-224 --device cuda --batch 64 --images 256 --no-memory --seconds 450 \
		--contenders ann-compiled-bf16 counts-nearest-16 counts-nearest-bf16-16 counts-tpp-16 \
		steps-if-32 steps-tracer-8 spikingjelly-multi-99.9-32 spikingjelly-multi-sta-32

docs: $(VENV)/.installed-docs  ## Build the documentation into site/; open site/index.html
	$(BIN)/python -m mkdocs build

support: $(VENV)/.installed-docs  ## Try every operation and model again; writes docs/support.md
	$(BIN)/python -m docs_tools support

check: lint test  ## Everything that must hold before a commit

clean:  ## Remove what the other targets made
	rm -rf $(VENV) out dist site .pytest_cache .ruff_cache .hypothesis
	find benchmarks docs_tools paper spikewright tests -name __pycache__ -type d -prune -exec rm -rf {} +
