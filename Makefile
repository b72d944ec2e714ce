# `make run` and `make test` do all set-up. Nothing is needed beforehand but Python 3.11 or later, make, and a C library.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	command -v $$name >/dev/null 2>&1 && $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$name && break; done)
STAMP := $(VENV)/installed.txt

# uv does not read pip's settings. Where pip is told of a folder of wheels, uv is told too; elsewhere it is asked for the
# CPU builds of torch (a machine with a GPU sets UV_TORCH_BACKEND=auto).
FIND_LINKS = $(shell $(BIN)/python -m pip config get global.find-links 2>/dev/null || echo "$$PIP_FIND_LINKS")
UV_SETTINGS = links="$(strip $(FIND_LINKS))"; \
	if [ -n "$$links" ]; then export UV_FIND_LINKS="$${UV_FIND_LINKS:-$$links}"; else export UV_TORCH_BACKEND="$${UV_TORCH_BACKEND:-cpu}"; fi
# The machine's own certificates, as pip has them set: behind a company's proxy uv would trust none otherwise.
export UV_SYSTEM_CERTS ?= true
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1
EXTRAS := --extra embedded --extra ml --extra media --extra sentences --extra dev --extra browser --extra agreement

.PHONY: run test check install lock clean
.DEFAULT_GOAL := run

run: install
	@exec $(BIN)/touchstone up

# The linters and the types; that models and migrations agree is a test among the others. The tests start hundreds of
# processes: where the machine is told to write no bytecode, each of them would compile all that it imports anew.
test: export PYTHONDONTWRITEBYTECODE =
test: install check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2 .

install: $(STAMP)

$(STAMP): requirements.lock requirements-torch.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with its venv module is needed (Debian: apt install python3-venv)." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv || true
	@echo "Installing the locked packages into $(VENV)"
	@$(UV_SETTINGS); export VIRTUAL_ENV="$(CURDIR)/$(VENV)"; \
	{ test -x $(BIN)/uv && \
		$(BIN)/uv pip install --quiet --require-hashes --no-deps -r requirements.lock && \
		$(BIN)/uv pip install --quiet -r requirements-torch.lock && \
		$(BIN)/uv pip install --quiet --no-deps --editable . ; \
	} || { echo "uv cannot be used here; pip takes its place (slower)." >&2 && \
		$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock && \
		$(BIN)/python -m pip install --quiet -r requirements-torch.lock && \
		$(BIN)/python -m pip install --quiet --no-deps --editable . ; }
	@touch $(STAMP)

# New versions within the ranges of pyproject.toml. The torch lock keeps neither hashes, nor local tags, nor CUDA packages,
# so that whichever build the machine offers satisfies it. The other lock is whole but for torch, which an extra asks for:
# it is resolved as if nothing did, and installed as it stands.
lock: install
	@echo "torch; python_version < '3'" > $(VENV)/overrides.txt
	@$(UV_SETTINGS); $(BIN)/uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 $(EXTRAS) --generate-hashes \
		--overrides $(VENV)/overrides.txt --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements.lock
	@$(UV_SETTINGS); { echo "# Made by \`make lock\`. No hashes, no local tags, no CUDA packages: a CPU build of any origin satisfies it."; \
		echo "torch>=2.4,<2.14" | $(BIN)/uv pip compile - --upgrade --python-version 3.11 --no-annotate --no-header --quiet \
		| grep -v -i -E '^(cuda|nvidia|triton)' | sed -E 's/\+[a-z0-9.]+//'; } > requirements-torch.lock

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache
