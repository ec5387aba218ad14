# `make run` and `make test` need Python 3.11 or newer and nothing else: everything is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
UV_VERSION := 0.13.8
BIN := $(VENV)/bin
# What running needs, and what developing needs: the latter is ten times as large.
RUN_READY := $(VENV)/.ready-run
READY := $(VENV)/.ready
export VIDEO
# Tests start thousands of Pythons: each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

LOCK_OPTIONS := --quiet --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11

# Two processes of tests, whatever the machine: each test's own programs use the cores, too.
TEST_OPTIONS ?= -n 2 --dist loadfile --durations=25

# Where what was seen is written.
FAULT_MATRIX ?= docs/gpu-faults.md
KILL_PAGE ?= docs/kill-tests.md

.PHONY: help run serve test test-thorough test-fast test-gpu fault-matrix kill-tests perf-gate lint doctor lock golden docs site gcloud-grammar \
	monitoring week image-check images bench clean

help:
	@echo "make run [VIDEO=path]  compress a video (a 20 s sample without VIDEO) into out/ and print its receipt"
	@echo "make serve             the page for vertical shorts, and the API, on http://127.0.0.1:8001/"
	@echo "make test              every test this machine can run"
	@echo "make test-thorough     the same with all cases of tests that take a part of theirs (about an hour)"
	@echo "make test-fast         the tests that start no FFmpeg"
	@echo "make test-gpu          on a machine with an NVIDIA GPU: what works, how fast, into docs/hardware/"
	@echo "make fault-matrix      every GPU fault in every way, written to docs/gpu-faults.md (about 20 minutes)"
	@echo "make kill-tests        100 kills of workers on each kind of database, into docs/kill-tests.md (about 20 minutes)"
	@echo "make perf-gate         fails where this commit is slower than main (docs/performance.md)"
	@echo "make lint              ruff, mypy, import contract"
	@echo "make doctor            what works on this machine"
	@echo "make docs              write the generated parts of docs/ anew"
	@echo "make gcloud-grammar    record what gcloud's commands take (where it is installed)"
	@echo "make site              the documentation as a site, in out/site/; a broken link ends it"
	@echo "make monitoring        write the dashboards and alerts in deploy/monitoring/ anew"
	@echo "make week              a simulated week of jobs: every alert, every diagram, in out/week/ (about 15 minutes)"
	@echo "make golden            write the golden plans anew, for review in the diff"
	@echo "make image-check       the images' steps without a container engine, a start of it, a job (as root, a minute)"
	@echo "make images            both Dockerfiles by buildah on a base of Debian's, and a start of each (as root, 10 minutes)"
	@echo "make bench             CPU seconds at equal VMAF against the plan's command"
	@echo "make lock              resolve requirements.lock anew"

$(RUN_READY): requirements-run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv module is missing; on Debian: apt install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-run.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(READY): requirements.lock $(RUN_READY)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@touch $@

run: $(RUN_READY)
	@mkdir -p out
	@if [ -z "$$VIDEO" ]; then \
		mkdir -p out/made && VIDEO=out/made/sample.mp4 && $(BIN)/python scripts/make_sample.py "$$VIDEO" || exit; \
	fi; \
	exec $(BIN)/reelpress compress --overwrite -o out/ -- "$$VIDEO"

# Videos of the home folder may be named by their path; the page is for this machine alone.
serve: $(READY)
	@REELPRESS_LOCAL_PATHS="$${REELPRESS_LOCAL_PATHS-$$HOME}" $(BIN)/reelpress serve

test: $(READY)
	@$(BIN)/python -m pytest $(TEST_OPTIONS)

test-thorough: $(READY)
	@REELPRESS_THOROUGH=1 REELPRESS_GPU_CORPUS=all $(BIN)/python -m pytest $(TEST_OPTIONS)

test-fast: $(READY)
	@$(BIN)/python -m pytest tests/unit tests/golden -m "not media"

test-gpu: $(READY)
	@REELPRESS_TEST_GPU=1 $(BIN)/python -m pytest tests/hardware

fault-matrix: $(READY)
	@REELPRESS_FAULT_MATRIX=$(FAULT_MATRIX) $(BIN)/python -m pytest tests/gpu/test_fault_matrix.py

kill-tests: $(READY)
	@REELPRESS_KILL_ROUNDS=100 REELPRESS_STORM_EXPORTS=300 REELPRESS_KILL_PAGE=$(KILL_PAGE) $(BIN)/python -m pytest \
		tests/service/test_worker_kills.py tests/service/test_export_kills.py

perf-gate: $(READY)
	@$(BIN)/python scripts/check_performance_regression.py

lint: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

doctor: $(RUN_READY)
	@$(BIN)/reelpress doctor

golden: $(READY)
	@$(BIN)/python scripts/regold.py

docs: $(READY)
	@$(BIN)/python scripts/write_docs.py
	@$(BIN)/python scripts/write_env_examples.py

# Where gcloud is installed: what its commands take, for machines where it is not.
gcloud-grammar: $(READY)
	@$(BIN)/python scripts/gcloud_lines.py

# Its word on what comes after MkDocs 1 is not for those who read a log of builds.
site: $(READY)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "out/site/index.html"

monitoring: $(READY)
	@$(BIN)/python scripts/write_monitoring.py

week: $(READY)
	@$(BIN)/python scripts/simulate_week.py --out out/week

image-check: $(READY)
	@$(BIN)/python scripts/try_image.py

images: $(READY)
	@PYTHON=$(BIN)/python scripts/build_images.sh

bench: $(READY)
	@$(BIN)/python benchmarks/compress.py

lock:
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) --extra service --extra transcribe --extra clips --extra quality --extra postgres --extra gcp --group dev pyproject.toml \
		-o requirements.lock
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) --group run -c requirements.lock pyproject.toml -o requirements-run.lock
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) --extra service --extra transcribe --extra clips --extra quality --extra gcp -c requirements.lock \
		pyproject.toml -o requirements-service.lock
	@$(BIN)/uv pip compile $(LOCK_OPTIONS) --group pyproject.toml:image -o requirements-build.lock

clean:
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
