# `make demo` and `make test` set up all they need in .venv; nothing else has to be installed but Python and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# -n: the suites wait on an engine more than they compute.
WORKERS ?= 3

# The suites start thousands of interpreters; each would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-long unit lint types reliability mutants bench aws-check audit release docs docs-check site pictures pages lock clean

demo: $(READY)
	$(BIN)/rtp demo

SUITES := $(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

# The types and the generated pages are checked beside the tests, which wait a good part of their time.
test: lint
	@log=$$(mktemp); trap 'kill $$checks 2> /dev/null; rm -f "$$log"' EXIT; \
	{ $(BIN)/mypy && $(BIN)/python -m docs.generate --check; } > "$$log" 2>&1 & checks=$$!; \
	$(SUITES) -m "not reliability and not long and not network"; tested=$$?; \
	wait $$checks; checked=$$?; cat "$$log"; \
	test $$checked = 0 || echo "make test: the types or the generated pages are wrong, see above" >&2; \
	test $$tested = 0 || echo "make test: pytest failed, see above" >&2; \
	test $$tested = 0 && test $$checked = 0

# What make test leaves out because shorter tests show its parts: whole pages of the manual, further variants, kills.
test-long: $(READY)
	$(SUITES) -m "long and not reliability"

# The inner loop, 40 seconds on two free cores: what needs neither engine nor synthesis and is not marked slow or long.
unit: $(READY)
	$(BIN)/pytest -q -n 2 -m "not slow and not long and not network" tests/test_architecture.py tests/unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# The long programme: what make test-long runs and every fault of the reliability suite at full size, then the local
# suite in AWS's weather.
SEEDS ?= 1 2 3
reliability: $(READY)
	$(BIN)/pytest -n 2 --dist loadgroup -m "reliability or long"
	for seed in $(SEEDS); do RTP_TEST_WEATHER=$$seed $(BIN)/pytest -n $(WORKERS) --dist loadgroup \
	  tests/local/events tests/local/watch || exit 1; done

# Change the guards, leases, limits and forms on the wire one operator at a time, and see whether a test notices.
MUTANTS := .venv-mutants/bin
mutants: $(READY)
	$(BIN)/uv venv -q --allow-existing --python $(BIN)/python .venv-mutants
	$(BIN)/uv pip sync -q --python $(MUTANTS)/python --require-hashes --build-constraints requirements/build.txt \
	  requirements/dev.txt requirements/mutants.txt
	$(BIN)/uv pip install -q --python $(MUTANTS)/python --no-deps --no-build-isolation -e .
	PATH="$(CURDIR)/$(MUTANTS):$$PATH" mutmut run --max-children 2
	$(MUTANTS)/python -m checks.mutants

bench: $(READY)
	$(BIN)/python -m bench

# On an AWS account, for about 40 minutes and less than one US dollar: what docs/verified.md lists. It asks first.
aws-check: $(READY)
	@test -n "$(REGION)" || { echo "usage: make aws-check PROFILE=NAME REGION=NAME" >&2; exit 2; }
	@$(BIN)/python -m checks.aws --region "$(REGION)" $(if $(PROFILE),--profile "$(PROFILE)")

# Licences, known vulnerabilities, pins against the newest, the CDK CLI against AWS's package; says what it cannot check.
AUDIT := .venv-audit/bin
audit: $(READY)
	$(BIN)/uv venv -q --allow-existing --python $(BIN)/python .venv-audit
	$(BIN)/uv pip sync -q --python $(AUDIT)/python --require-hashes requirements/audit.txt
	$(BIN)/python -m checks.audit --pip-audit $(AUDIT)/pip-audit --uv $(BIN)/uv

# The SBOM, the wheel and the sdist in dist/, checked by twine, installed and used with every interpreter and installer
# that is there; with pip the demo runs too.
RELEASE := .venv-release/bin
release: $(READY)
	$(BIN)/uv venv -q --allow-existing --python $(BIN)/python .venv-release
	$(BIN)/uv pip sync -q --python $(RELEASE)/python --require-hashes requirements/release.txt
	$(BIN)/python -m checks.sbom dist/realtime-processor.cdx.json
	$(BIN)/python -m checks.install --dist dist --twine $(RELEASE)/twine

docs: $(READY)
	$(BIN)/python -m docs.generate

docs-check: $(READY)
	$(BIN)/python -m docs.generate --check

# The manual as a site in dist/site: every link checked, search offline, nothing loaded from elsewhere.
SITE := .venv-site/bin
site: $(READY)
	$(BIN)/uv venv -q --allow-existing --python $(BIN)/python .venv-site
	$(BIN)/uv pip sync -q --python $(SITE)/python --require-hashes requirements/site.txt
	$(BIN)/python -m checks.site --python $(SITE)/python

# Pictures of the terminal in docs/pictures, from a run of the demo.
pictures: $(READY)
	$(BIN)/python -m checks.pictures

# The HTML pages of a real run, opened in headless Chromium (Debian's package chromium); screenshots in build/pages.
pages: $(READY)
	$(BIN)/python -m checks.pages

# Pins with hashes and without the address of any index, so that every mirror serves them.
lock: $(READY)
	$(BIN)/uv pip compile -q pyproject.toml --extra local requirements/dev.in --universal --python-version 3.11 \
	  --generate-hashes --no-header -o requirements/dev.txt
	$(BIN)/uv pip compile -q pyproject.toml --extra local --universal --python-version 3.11 \
	  --generate-hashes --no-header -o requirements/rtp.txt
	$(BIN)/uv pip compile -q requirements/build.in --universal --python-version 3.11 --generate-hashes --no-header \
	  -o requirements/build.txt
	$(BIN)/uv pip compile -q requirements/audit.in --universal --python-version 3.11 --generate-hashes --no-header \
	  -o requirements/audit.txt
	$(BIN)/uv pip compile -q requirements/mutants.in -c requirements/dev.txt --universal --python-version 3.11 \
	  --generate-hashes --no-header -o requirements/mutants.txt
	$(BIN)/uv pip compile -q requirements/release.in --universal --python-version 3.11 --generate-hashes --no-header \
	  -o requirements/release.txt
	$(BIN)/uv pip compile -q requirements/site.in --universal --python-version 3.11 --generate-hashes --no-header \
	  -o requirements/site.txt
	$(BIN)/uv pip compile -q requirements/layer.in --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-package botocore --no-emit-package jmespath --no-emit-package python-dateutil \
	  --no-emit-package six --no-emit-package urllib3 -o rtp/infra/layer-requirements.txt

$(READY): requirements/dev.txt requirements/build.txt requirements/uv.txt pyproject.toml
	@echo "setting up .venv with rtp and its packages; the first time takes two or three minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync -q --compile-bytecode --python $(BIN)/python --require-hashes \
	  --build-constraints requirements/build.txt requirements/dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf .venv .venv-audit .venv-release .venv-site .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
