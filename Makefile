# make run    everything on http://127.0.0.1:8000   (PORT=8001, DATASET=folder)
# make test   set-up and the whole suite             (DB=postgres)
# make check  lint, types, contracts and the suite: what CI runs
# make bench  speed and quality beside other libraries (ARGS="wals quality": these two)

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
export DB

.PHONY: run test check lint format screenshots bench clean

run: .venv/ready
	@exec $(BIN)/python -m quasimusic.launch --port "$(PORT)" --dataset "$(DATASET)"

test: .venv/ready-dev
	$(BIN)/python -m tests.browser
	$(BIN)/python -m pytest $(ARGS)

check: lint test

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy recommender/engines
	$(BIN)/lint-imports
	$(BIN)/djlint --check --lint templates

format: .venv/ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djlint --reformat templates

screenshots: .venv/ready-dev
	$(BIN)/python -m tests.browser
	$(BIN)/python -m pytest tests/browser/test_pages.py --pictures "$(or $(TO),var/pictures)"

bench: .venv/ready-bench
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv var

.venv/ready: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv/ready-bench: requirements-bench.txt .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@
