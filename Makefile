# Everything a person types. Only make and Python 3.11 or newer are needed; the rest is installed into .venv.

PYTHON ?= python3
PORT ?= 8000
DATA_DIR ?= var
SIGNUP_CREDIT ?= 5.00
WORKERS ?= 2
PY = .venv/bin/python
BOOTSTRAP = $(PYTHON) bootstrap.py $(if $(filter file,$(origin PYTHON)),,--this-python)

export PORT DATA_DIR SIGNUP_CREDIT HOST OPERATOR_EMAIL OPERATOR_PASSWORD

.PHONY: help run gateway env compose-test test lint lock clean

help:
	@echo 'make run     start Orquestra on this machine    PORT=8000 DATA_DIR=var HOST=127.0.0.1 SIGNUP_CREDIT=5.00'
	@echo '             the operator of /admin/            OPERATOR_EMAIL=… OPERATOR_PASSWORD=…'
	@echo 'make gateway the same as four services behind nginx, which must be installed; they take the ports after PORT'
	@echo 'make env     write .env with new secrets, for containers; see docker/README.md'
	@echo 'make compose-test   bring all containers up, use them, break them, take them down'
	@echo 'make test    every check and every test         WORKERS=2'
	@echo 'make lint    the checks that need no servers'
	@echo 'make lock    write requirements*.txt anew from pyproject.toml'
	@echo 'make clean   remove .venv and caches; data stays'
	@echo 'Another Python: PYTHON=/path/to/python3'

run:
	@$(BOOTSTRAP)
	@exec $(PY) -m backend.embedded

gateway: export GATEWAY = 1
gateway: run

# Compose reads the .env of the folder it starts in, or that beside its file: both are the same.
env:
	@$(PYTHON) docker/make_env.py
	@[ -e docker/.env ] || ln -s ../.env docker/.env

compose-test:
	@exec docker/verify.sh

lint:
	@$(BOOTSTRAP) --dev
	@exec $(PY) checks.py lint

test:
	@$(BOOTSTRAP) --dev
	@WORKERS=$(WORKERS) exec $(PY) checks.py

lock:
	@$(BOOTSTRAP) --dev
	@exec $(PY) checks.py lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
