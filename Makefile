# Everything runs from a clean clone: the first target that needs it makes .venv with all that this repository uses.
#
#   make demo      the examples, unmodified, through an embedded pool; one table; out/china_quantised.png
#   make test      every test that needs no GPU            make check   format, lint, types, imports, fresh files, quick tests
#   make bench     ratio tables, benchmarks/results/, what got slower; under 10 minutes      make bench-full   and the curves; goes on where it stopped
#   make peers     RPyC and Ray, which the row `peers` compares with, into .venv-peers
#   make prove PART=name   a campaign in full; without PART: list them
#   make gpu       GPU tests and benchmarks, most valuable first, in 8 minutes; no network and no .venv: make gpu PYTHON=python3
#   make cupy-suite CUPY=<checkout of cupy v14.2.0>   CuPy's own tests; FOLDERS="math fft" (default: those that need no GPU), DEVICE=cuda
#   make clients   the CuPy-facing tests of opt_einsum, einops, scikit-learn and dask.array; make cupy-examples CUPY=<checkout>   CuPy's own examples
#   make generate  files generated from the op table       make proto   cupool/v1 from proto/
#   make sizes     lines per component; a function's package    make clean

PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
QUICK := $(RUN) -m pytest -q -m 'not slow'
# What `make gpu` runs with: the link tree instead of an install, and not the working directory before it.
TREE := PYTHONPATH=$(CURDIR)/build/typing:$(CURDIR) PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1
PROTO_VENV := .venv-proto
CLIENTS_VENV := .venv-clients
PEERS_VENV := .venv-peers
PART ?=
CUPY ?=
DEVICE ?= cpu
# Where an environment forbids bytecode files, each of the hundreds of processes that tests start would compile all modules again: 1.6 of a
# server's 2.1 seconds on a slow machine. (`make gpu` writes none: it runs in what may be another's checkout.)
export PYTHONDONTWRITEBYTECODE :=
FOLDERS ?= core15

.PHONY: demo test check check-parts check-format check-lint check-mypy check-pyright check-imports check-fresh check-proto \
        check-wheel check-tests-contract check-tests-unit1 check-tests-unit2 bench bench-full peers prove gpu \
        cupy-suite clients cupy-examples generate proto sizes clean tree venv

venv: .venv/.complete

.venv/.complete: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "cupool needs Python 3.11 or newer; run make with PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[server,dev]'
	touch $@

$(PROTO_VENV)/.complete: Makefile
	$(PYTHON) -m venv $(PROTO_VENV)
	$(PROTO_VENV)/bin/python -m pip install --quiet 'setuptools<81' 'grpcio-tools==1.74.0'
	touch $@

$(CLIENTS_VENV)/.complete: pyproject.toml tests/clients/requirements.txt
	$(PYTHON) -m venv $(CLIENTS_VENV)
	$(CLIENTS_VENV)/bin/python -m pip install --quiet --editable '.[server]' -r tests/clients/requirements.txt
	touch $@

$(PEERS_VENV)/.complete: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --quiet -r benchmarks/requirements-peers.txt
	touch $@

peers: $(PEERS_VENV)/.complete

tree:
	@$(PYTHON) tools/link_tree.py >/dev/null

demo: .venv/.complete
	$(RUN) tools/demo.py

# Three processes for two cores: a third of the time a test waits for what runs in processes of its own. In the order of the files: those of
# several processes, which take longest, come before the many short ones of units, so that all three end at the same time.
test: .venv/.complete tree
	$(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -q

check: .venv/.complete $(PROTO_VENV)/.complete tree
	@$(MAKE) --no-print-directory -j 2 --keep-going --output-sync=target check-parts

check-parts: check-tests-unit1 check-tests-unit2 check-tests-contract check-pyright check-mypy check-wheel check-lint check-format \
             check-imports check-fresh check-proto

check-format:
	$(BIN)/ruff format --check --quiet
check-lint:
	$(BIN)/ruff check --quiet
check-mypy: tree
	$(BIN)/mypy
check-pyright: tree
	$(RUN) tools/pyright_changed.py
check-imports: tree
	@# In the tree of links: it looks into the working directory first, and there `cupool` has no components.
	cd build/typing && ../../$(BIN)/lint-imports --no-cache --config ../../pyproject.toml
check-fresh:
	$(RUN) tools/generate.py --check
	$(RUN) tools/coverage.py --check
check-proto: $(PROTO_VENV)/.complete
	$(PROTO_VENV)/bin/python tools/proto.py --check
check-wheel:
	$(RUN) -m pytest -q tests/unit/test_packaging.py -k test_wheel
# Three processes instead of workers under one: workers collect every test each, and tell a third process of each.
# What g++ made of the tests' kernels is kept by what went into it.
check-tests-contract check-tests-unit1 check-tests-unit2: export CUPOOL_TEST_KERNEL_CACHE = $(CURDIR)/build/kernels
check-tests-contract:
	$(QUICK) tests/contract
check-tests-unit1:
	$(QUICK) tests/unit/test_[a-k]*.py
check-tests-unit2:
	$(QUICK) tests/unit/test_[!a-k]*.py

bench: .venv/.complete
	$(RUN) -m benchmarks

bench-full: .venv/.complete $(PEERS_VENV)/.complete
	$(RUN) -m benchmarks --full

prove: .venv/.complete
	$(RUN) tools/prove.py $(PART)

gpu: tree
	$(TREE) $(PYTHON) -m benchmarks.gpu

cupy-suite: .venv/.complete
	$(RUN) tools/cupy_suite.py --cupy=$(CUPY) --device=$(DEVICE) $(FOLDERS)

clients: $(CLIENTS_VENV)/.complete
	$(CLIENTS_VENV)/bin/python tools/clients.py

cupy-examples: $(CLIENTS_VENV)/.complete
	$(CLIENTS_VENV)/bin/python tools/cupy_examples.py --cupy=$(CUPY)

generate: .venv/.complete
	$(RUN) tools/generate.py
	$(RUN) tools/coverage.py --write

proto: $(PROTO_VENV)/.complete
	$(PROTO_VENV)/bin/python tools/proto.py

sizes: .venv/.complete
	@$(PYTHON) tools/sizes.py
	@$(RUN) tools/layer.py

clean:
	rm -rf build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
