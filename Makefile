# make run    the quickstart: installs into .venv, then `mlflow run .`
# make ui     MLflow's UI for the runs in this folder; prints the addresses of the newest rankings; PORT=5001 uses another port
# make dashboard  optuna-dashboard for the studies in this folder, at http://127.0.0.1:8080; PORT=8081 uses another port
# make test   the test suite without most of tests/chaos
# make chaos  kills sweeps at every step and compares the results; CHAOS_SEED=1 repeats the random times
# make check  lint, format, types, import layers
# make bench  the benchmarks, see benchmarks/README.md
# make docs   the documentation as a site, in build/site: open build/site/index.html
# TORCH=cpu after any of these installs torch without its GPU libraries; an installed torch is kept

PYTHON ?= python3
PORT ?= 5000
TORCH ?=
TORCH_INDEX ?= https://download.pytorch.org/whl/$(TORCH)
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/pip install --quiet --constraint constraints.txt --editable
# Without what torch needs, as its index has other versions of that than constraints.txt.
TORCH_INSTALL = $(BIN)/pip install --quiet --retries 1 --constraint constraints.txt --no-deps --index-url "$(TORCH_INDEX)"
# It is relative, as the path of this folder may have letters that URLs encode.
export MLFLOW_TRACKING_URI ?= sqlite:///mlflow.db

.PHONY: run ui dashboard test chaos check bench docs format generate clean

run: $(VENV)/.installed
	env -u MLFLOW_EXPERIMENT_ID -u MLFLOW_EXPERIMENT_NAME PATH="$(CURDIR)/$(BIN):$$PATH" mlflow run . --env-manager=local --experiment-name quickstart
	@echo "To view the runs: make ui.  To use the commands above: . $(VENV)/bin/activate"

ui: $(VENV)/.installed
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(PORT))).close()' 2>/dev/null \
		|| { echo "port $(PORT) is taken: make ui PORT=5001 uses another one"; exit 1; }
	@$(BIN)/python scripts/rankings_in_mlflow.py http://127.0.0.1:$(PORT) || true
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --workers 1 --port $(PORT)

dashboard: PORT = 8080
dashboard: $(VENV)/.installed-dashboard
	@[ -n "$(OPTUNA_STORAGE)" ] || [ -f optuna.db ] \
		|| { echo "there is no optuna.db in this folder: the first sweep creates it"; exit 1; }
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(PORT))).close()' 2>/dev/null \
		|| { echo "port $(PORT) is taken: make dashboard PORT=8081 uses another one"; exit 1; }
	@$(BIN)/optuna-dashboard --port $(PORT) "$(or $(OPTUNA_STORAGE),sqlite:///optuna.db)"

test: $(VENV)/.installed-test
	$(BIN)/pytest -m "not chaos or chaos_short" --numprocesses auto --dist worksteal

chaos: $(VENV)/.installed-test
	$(BIN)/pytest -m chaos --numprocesses 3 --dist worksteal  # they mostly wait

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation: $(CURDIR)/build/site/index.html"

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/.installed-test
	$(BIN)/python -m cifar_exp.experiment.schema > cifar_exp/experiment.schema.json
	$(BIN)/python scripts/components_page.py
	$(BIN)/python -m tests.golden

clean:
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@test -z "$(TORCH)" || $(TORCH_INSTALL) torch torchvision \
		|| { echo "no torch $(TORCH) at $(TORCH_INDEX): name another index by TORCH_INDEX=URL, or leave out TORCH"; exit 1; }
	$(INSTALL) .
	touch $@

$(VENV)/.installed-dashboard: $(VENV)/.installed
	$(INSTALL) '.[dashboard]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) '.[test]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(INSTALL) '.[docs]'
	touch $@
