# Every command that this project has. `make demo` and `make test` need nothing done before.

PYTHON ?= python3
DEV := .venv/dev/bin
SAM := .venv/sam/bin
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help
.PHONY: help demo test check system build deploy local bench pins
.DELETE_ON_ERROR:

help: ## show this list
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/demo/.made ## run the main job on this machine and tell its story
	@.venv/demo/bin/python -m region.demo

test: .venv/dev/.made ## run every test that this machine can, and say which it cannot (root runs the most)
ifdef TESTS
	@$(DEV)/pytest $(TESTS)
else
	@$(DEV)/pytest --numprocesses=auto --dist=worksteal tests/unit tests/template tests/simulated
	@$(DEV)/pytest --numprocesses=4 --dist=loadfile tests/disks tests/sam_local || [ $$? -eq 5 ] # 5: nothing was run, since both are left out
endif

check: .venv/dev/.made .venv/sam/.made ## check everything that needs no running: style, types, template, scripts
	$(DEV)/ruff format --check --quiet
	$(DEV)/ruff check --quiet
	$(DEV)/mypy
	PYTHONPATH=.:layers/watchkeeper $(DEV)/lint-imports --no-logo
	PATH="$(DEV):$$PATH" $(DEV)/python tools/check_documents.py documents/*.yaml
	$(SAM)/cfn-lint template.yaml examples/*.yaml
	$(SAM)/sam validate --lint

# What tests/disks, tests/sam_local and the second half of the demo stand on. Debian alone is provided for.
PACKAGES := debootstrap docker.io haproxy iproute2 nginx-light postgresql postgresql-contrib procps python3-venv systemd tini util-linux xfsprogs

system: ## (with sudo, on Debian) install the packages of the real-disk parts
	@tools/install_packages $(PACKAGES)

build: .venv/sam/.made ## build the layer into .aws-sam, beside the functions, which are deployed as they are
	@find functions -name __pycache__ -exec rm -r {} +
	@PATH="$(CURDIR)/$(SAM):$$PATH" sam build

deploy: build ## deploy with your AWS credentials; first: make deploy PARAMETERS='Email=you@example.com TimeZone=Europe/Berlin'
	@$(SAM)/sam deploy $(if $(PARAMETERS),--parameter-overrides $(PARAMETERS))

# Containers reach this machine at docker0's address; with Docker Desktop, which has none, by a name that is put in for loopback.
HOST = $(or $(shell ip -4 -o address show docker0 2>/dev/null | sed -nE 's/.* inet ([0-9.]+).*/\1/p'),127.0.0.1)
local: build .venv/demo/.made ## serve the region for the AWS CLI and, with Docker, for `sam local invoke`
	@.venv/demo/bin/python -m region --host $(HOST) --env-vars .aws-sam/env.json

# A minute of debootstrap; tests/sam_local says when.
.aws-sam/runtime_image.tar: tests/sam_local/runtime_image requirements/lambda_image.txt | .venv/sam/.made
	@echo "Making a stand-in for Lambda's runtime image (about a minute, once)"
	@mkdir -p $(@D)
	@PATH="$(CURDIR)/$(SAM):$$PATH" $< $@ >$@.log 2>&1 || { tail -n 5 $@.log; exit 1; }

bench: .venv/dev/.made .venv/awscli/.made ## measure again what docs/figures.md says (an hour; with sudo, on disks too)
	@$(DEV)/python -m bench

# An environment is made again when its pins change. pip takes them as they are (--no-deps: they are complete) and leaves the
# compiling of what is imported to the first import, which halves the wait.
SECONDS_demo := 15
SECONDS_dev := 30
SECONDS_sam := 35
SECONDS_awscli := 15
.venv/%/.made: requirements/%.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Watchkeeper needs Python 3.11 or newer, and $(PYTHON) is %d.%d: make PYTHON=python3.13 …" % sys.version_info[:2])'
	@echo "Making the environment .venv/$* (about $(SECONDS_$*) seconds, once)"
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/pip install -qq --disable-pip-version-check --no-compile --no-deps --require-hashes -r $<
	@touch $@

# The pins, made again from the *.in files by uv (pip install uv), for every platform and Python that the project runs on.
PINS := layers/watchkeeper/requirements.txt $(patsubst %.in,%.txt,$(wildcard requirements/*.in))
pins: ## look for newer versions of everything, and pin them
	@for pins in $(PINS); do uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	  --no-annotate --no-emit-index-url --custom-compile-command="make pins" "$${pins%.txt}.in" --output-file "$$pins" || exit 1; done
