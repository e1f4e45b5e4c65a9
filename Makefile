# make demo    watch aixtiv do its job against a real authorization server
# make test    every test but the slow ones; ARGS="-k journal" is handed to pytest
# make slow    the slow ones: kills at random moments, long lives on a small disk
# make attack  the daemon between a hostile server and a hostile machine; MINUTES=20, ROUNDS=, SEED=, ONLY=name, BLOCK=
# make fuzz    every parser that strangers' bytes reach, a million inputs each (RUNS=, SEED=, ONLY="frames config"): hours
# make scale   ten thousand accounts that end within one minute, with 256 callers: five minutes; ARGS="--accounts 1000"
# make soak    hours of refreshes in MINUTES=10, by tokens that live for seconds: memory and descriptors have to stay flat
# make pictures  the pictures in docs/pictures, by typing what they show; ARGS="status" only that one
# make bench   speed and memory beside floors and peers, as ratios: minutes; JSON=path, ONLY="kept relay", PAGE=docs/performance.md, SMOKE=1
# make check   format, lint, types, the import contract
# make fmt     put the format right
# make man     write the man pages and docs/options.md anew, from what --help and docs/ say
# make lock    pin the dependencies; ARGS=--upgrade takes the newest
#
# Each makes its own environment in .venv and needs nothing but git, make and a Python ≥ 3.11 that has venv.
# PYTHON=python3.13 names the interpreter, VENV=folder another environment. Works with GNU make 3.81 (macOS).

PYTHON ?=
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
READY := $(VENV)/.ready$(subst /,-,$(PYTHON))
OIDC := tests/peers/oidc
SDK := tests/peers/sdk
CONFORMANCE := tests/peers/mcp_conformance
UV := $(VENV)/uv

.PHONY: demo test slow pictures check fmt man lock peer clean attack fuzz scale soak bench
.DELETE_ON_ERROR:

demo: $(READY) peer
	@PYTHONPATH=tests $(BIN)/python -m demo

test: $(READY) peer
	@$(BIN)/python -m pytest -n auto -m "not slow" $(ARGS)

slow: $(READY) peer
	@$(BIN)/python -m pytest -n auto -m slow $(ARGS)

attack: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m faults.attack $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(BLOCK),--block $(BLOCK)) $(if $(ONLY),--only $(ONLY))

fuzz: $(VENV)/fuzz/.ready
	@PYTHONPATH=$(VENV)/fuzz:tests $(BIN)/python -m fuzz --runs $(or $(RUNS),1000000) $(if $(SEED),--seed $(SEED)) \
	  $(if $(ONLY),--only $(ONLY))

scale: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m scale $(ARGS)

soak: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m scale.soak --minutes $(or $(MINUTES),10) $(ARGS)

bench: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON)) \
	  $(if $(PAGE),--page $(PAGE)) $(if $(SMOKE),--smoke)

pictures: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m pictures $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(READY)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

man: $(READY)
	@PYTHONPATH=tools $(BIN)/python -m manual

# The lock holds for every platform and every Python from 3.11 on, and names no index: pip's own settings say where from.
lock: $(READY)
	$(BIN)/python -m venv $(UV)
	$(UV)/bin/pip install -qq uv
	env -u PIP_FIND_LINKS -u UV_FIND_LINKS $(UV)/bin/uv pip compile --universal --generate-hashes --python-version 3.11 \
	  --group pyproject.toml:dev --no-annotate --no-header --quiet $(ARGS) pyproject.toml -o requirements.lock
	for sdk in newest below1; do env -u PIP_FIND_LINKS -u UV_FIND_LINKS $(UV)/bin/uv pip compile --universal \
	  --generate-hashes --python-version 3.11 --no-annotate --no-header --quiet $(ARGS) $(SDK)/$$sdk.in -o $(SDK)/$$sdk.lock || exit; done
	env -u PIP_FIND_LINKS -u UV_FIND_LINKS $(UV)/bin/uv pip compile --universal --generate-hashes --python-version 3.11 \
	  --no-annotate --no-header --quiet $(ARGS) tests/fuzz/atheris.in -o tests/fuzz/atheris.lock

clean:
	rm -rf $(VENV) $(OIDC)/node_modules $(SDK)/node_modules $(CONFORMANCE)/node_modules dist

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

# The fuzzer stands in a folder of its own beside what aixtiv runs with. Linux on x86-64 only: elsewhere there is none.
$(VENV)/fuzz/.ready: tests/fuzz/atheris.lock | $(READY)
	@rm -rf $(@D); $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes --target $(@D) -r $<
	@PYTHONPATH=$(@D) $(BIN)/python -c 'import atheris' || { echo "make: PyPI's atheris could not be installed" >&2; exit 1; }
	@touch $@

# ---- what stands opposite the end-to-end tests: npm's oidc-provider, and the official SDKs of Claude's API ----------------

define NPM
@command -v node >/dev/null && command -v npm >/dev/null || exit 0; \
test $(1)/node_modules/.package-lock.json -nt $(1)/package-lock.json && exit 0; \
(cd $(1) && npm ci --ignore-scripts --no-audit --no-fund --silent) && touch $(1)/node_modules/.package-lock.json && exit 0; \
echo "make: $(2) could not be installed" >&2; test -z "$$CI"
endef

peer: $(VENV)/sdk-newest/.ready $(VENV)/sdk-below1/.ready
	$(call NPM,$(OIDC),npm's oidc-provider)
	$(call NPM,$(SDK),npm's @anthropic-ai/sdk)
	$(call NPM,$(CONFORMANCE),npm's MCP conformance suite)

$(VENV)/sdk-%/.ready: $(SDK)/%.lock | $(READY)
	@rm -rf $(@D); $(BIN)/python -m venv --without-pip $(@D) && $(BIN)/python -m pip --python $(@D)/bin/python install -qq \
	  --disable-pip-version-check --require-hashes -r $< && touch $@ && exit 0; \
	echo "make: PyPI's anthropic ($*) could not be installed" >&2; test -z "$$CI"
