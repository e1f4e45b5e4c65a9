# make demo    watch aixtiv do its job against a real authorization server
# make test    every test but the slow ones; ARGS="-k journal" is handed to pytest
# make slow    the slow ones: kills at random moments, long lives on a small disk
# make check   format, lint, types, the import contract
# make fmt     put the format right
# make lock    pin the dependencies; ARGS=--upgrade takes the newest
#
# Each makes its own environment in .venv and needs nothing but git, make and a Python ≥ 3.11 that has venv.
# PYTHON=python3.13 names the interpreter, VENV=folder another environment. Works with GNU make 3.81 (macOS).

PYTHON ?=
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
READY := $(VENV)/.ready$(subst /,-,$(PYTHON))
PEER := tests/peers/oidc
UV := $(VENV)/uv

.PHONY: demo test slow check fmt lock peer clean
.DELETE_ON_ERROR:

demo: $(READY) peer
	@PYTHONPATH=tests $(BIN)/python -m demo

test: $(READY) peer
	@$(BIN)/python -m pytest -n auto -m "not slow" $(ARGS)

slow: $(READY) peer
	@$(BIN)/python -m pytest -n auto -m slow $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(READY)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

# The lock holds for every platform and every Python from 3.11 on, and names no index: pip's own settings say where from.
lock: $(READY)
	$(BIN)/python -m venv $(UV)
	$(UV)/bin/pip install -qq uv
	env -u PIP_FIND_LINKS -u UV_FIND_LINKS $(UV)/bin/uv pip compile --universal --generate-hashes --python-version 3.11 \
	  --group pyproject.toml:dev --no-annotate --no-header --quiet $(ARGS) pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) $(PEER)/node_modules dist

# ---- the environment -------------------------------------------------------------------------------------------------

# A candidate is *run* before it counts: pyenv leaves shims on the PATH for versions that are not active.
define FIND_PYTHON
no_venv=; python=; \
for name in $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3 python3.14); do \
  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
  if "$$name" -c 'import venv, ensurepip' >/dev/null 2>&1; then python=$$name; break; fi; \
  no_venv=$${no_venv:-$$name}; \
done; \
if test -z "$$python" && test -n "$$no_venv"; then \
  echo "make: $$no_venv has no venv; install it with: sudo apt install python3-venv" >&2; exit 1; \
elif test -z "$$python"; then \
  echo "make: no $(or $(PYTHON),python3) here runs as Python 3.11 or newer; install one with:" \
    "sudo apt install python3 python3-venv (or: brew install python)" >&2; exit 1; \
fi
endef

$(READY): pyproject.toml requirements.lock
	@$(FIND_PYTHON); base='import sys; print(sys.version_info[:2], sys.base_prefix)'; \
	is=$$($(BIN)/python -c "$$base" 2>/dev/null); wanted=$(if $(PYTHON),$$("$$python" -c "$$base"),$$is); \
	test -n "$$is" && test "$$is" = "$$wanted" || { \
	  echo "make: a new environment in $(VENV), with $$("$$python" --version)"; \
	  rm -rf $(VENV) && "$$python" -m venv $(VENV); }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# ---- npm's oidc-provider, the authorization server opposite the end-to-end tests ----------------------------------------

peer:
	@command -v node >/dev/null && command -v npm >/dev/null || exit 0; \
	test $(PEER)/node_modules/.package-lock.json -nt $(PEER)/package-lock.json && exit 0; \
	(cd $(PEER) && npm ci --ignore-scripts --no-audit --no-fund --silent) && touch $(PEER)/node_modules/.package-lock.json && exit 0; \
	echo "make: npm's oidc-provider could not be installed" >&2; test -z "$$CI"
