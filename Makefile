# The two commands of the README: make demo, make test. Each sets up .venv from a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SAMPLE := edge_harmony/samples/pagoda-cold

.PHONY: demo test lint types docs images weights clean

demo: .venv/base.stamp  ## harmonize a shipped sample with the INT8 network; no torch
	mkdir -p out
	$(BIN)/edge-harmony harmonize $(SAMPLE).jpg $(SAMPLE)_mask.png -o out/demo.png --before-after out/before-after.jpg
	@echo "before, mask and after: out/before-after.jpg"

test: .venv/dev.stamp  ## the whole suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev.stamp
	$(BIN)/mypy

docs: .venv/dev.stamp  ## the tables of the documents, from the cards and the committed results
	$(BIN)/python docs/tables.py

images: .venv/base.stamp  ## the pictures of the README
	mkdir -p out
	for name in hopper-china pagoda-cold; do \
	  $(BIN)/edge-harmony harmonize edge_harmony/samples/$$name.jpg edge_harmony/samples/$${name}_mask.png \
	    -o out/$$name.png --before-after docs/images/$$name.jpg --quality 88 || exit 1; done

weights: .venv/dev.stamp  ## RUN=folder DATA=root [NAME=edge-s] [RECIPE=file]: a finished run's weights, and all that is made from them
	$(BIN)/python benchmarks/land_weights.py $(or $(NAME),edge-s) --run $(RUN) --data $(DATA) $(if $(RECIPE),--recipe $(RECIPE))

.venv/base.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/dev.stamp: .venv/base.stamp
	$(PIP) torch
	$(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv out build dist
