# The two commands of the README: make demo, make test. Each sets up .venv from a fresh clone. `make help` lists all.
PYTHON ?= python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
CONSTRAINTS ?= constraints.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2
SAMPLE := edge_harmony/samples/pagoda-cold

.PHONY: help demo test test-quick test-slow test-all faults format lint types docs surface schema site images startup weights clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

demo: .venv/base.stamp  ## harmonize a shipped sample with the INT8 network; no torch
	mkdir -p out
	$(BIN)/edge-harmony harmonize $(SAMPLE).jpg $(SAMPLE)_mask.png -o out/demo.png --before-after out/before-after.jpg
	@echo "before, mask and after: out/before-after.jpg"

test: .venv/dev.stamp  ## all tests without the slow ones, in minutes
	$(PYTEST) --dist worksteal -m "not slow"

test-quick: .venv/dev.stamp  ## only tests that need no torch and start no programs, within a minute
	$(PYTEST) --dist worksteal -m "not slow and not lengthy" --without-torch

test-slow: .venv/dev.stamp  ## only the slow ones: browser, Ray, many pictures, long videos, compiled training
	$(PYTEST) -n 3 --dist loadfile -m slow  # they wait more than they compute

test-all: test test-slow  ## all tests

faults: .venv/dev.stamp  ## 10,000 mutated inputs, 1,000 accidents, long streams, crowds; goes on where it was stopped
	for part in inputs guided accidents stream crowd losses; do $(BIN)/python -m tests.faults $$part || failed="$$failed $$part"; done; \
	  test -z "$$failed" || { echo "faults in:$$failed; see out/faults/failed"; exit 1; }

format: .venv/dev.stamp  ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: .venv/dev.stamp  ## check format and rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev.stamp  ## mypy, strict
	$(BIN)/mypy

docs: .venv/dev.stamp  ## renew the generated parts of the documents: tables, the page of the command line
	$(BIN)/python -m docs.tables
	$(BIN)/python docs/command_line.py

surface: .venv/base.stamp  ## renew tests/data/public_surface.txt: the public names and signatures
	$(BIN)/python docs/surface.py

schema: .venv/base.stamp  ## renew docs/benchmark-result.schema.json
	$(BIN)/python docs/schema.py

site: .venv/site.stamp  ## the documentation as a site, in build/site; a broken link or an undocumented public name fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict # with --quiet, warnings would not count

images: .venv/base.stamp  ## the pictures of the README
	mkdir -p out
	for name in hopper-evening mug-cold; do \
	  $(BIN)/edge-harmony harmonize edge_harmony/samples/$$name.jpg edge_harmony/samples/$${name}_mask.png \
	    -o out/$$name.png --before-after docs/images/$$name.jpg --quality 88 || exit 1; done

startup: .venv/base.stamp  ## seconds and memory of whole processes, and the size of the base install, within their budget
	mkdir -p out
	$(BIN)/python benchmarks/startup.py --rounds 3 --check -o out/startup.json

weights: .venv/dev.stamp  ## RUN=folder DATA=root [NAME=edge-s] [RECIPE=file]: a finished run's weights, and all that is made from them
	$(BIN)/python benchmarks/land_weights.py $(or $(NAME),edge-s) --run $(RUN) --data $(DATA) $(if $(RECIPE),--recipe $(RECIPE)) $(if $(MEAN_WITH),--mean-with $(MEAN_WITH)) $(if $(MEAN_SHARE),--mean-share $(MEAN_SHARE))

.venv/base.stamp: pyproject.toml constraints.txt $(wildcard native/*)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/dev.stamp: .venv/base.stamp
	$(PIP) torch
	$(PIP) --editable '.[dev]'
	touch $@

.venv/site.stamp: .venv/base.stamp
	$(PIP) --editable '.[site]'
	touch $@

clean:  ## remove .venv and all that was built
	rm -rf .venv out build dist
