# `make help` lists what there is. Needs make and Python 3.11 to 3.13; everything else is installed under .venvs/.
# Every recipe runs from the checkout with relative paths, so that a path with spaces in it works.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

AIRFLOW_PYTHON := .venvs/airflow/bin/python
DEV := .venvs/dev/bin
# The stack on AWS: `make deploy STACK=lake-staging`
STACK ?= lake
# More options of infra.deploy: `make teardown ARGUMENTS=--delete-data`
ARGUMENTS ?=
# Another checkout, to measure beside this one: `make bench AGAINST=../before`
AGAINST ?=
AWS_ENV := .local/aws$(if $(filter-out lake,$(STACK)),.$(STACK)).env

.PHONY: help demo up down status check test chaos bench deploy teardown rebuild-catalog remove-mart compose-env format docs dataset screenshots environments stack-environments airflow-environment

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1~\2/p' Makefile | awk -F'~' '{ printf "%-20s %s\n", $$1, $$2 }'
	@printf '\nVariables: AIRFLOW_PORT (8080), LOCALAWS_PORT (4566), DATA_DOCS_PORT (5001), PYTHON (a Python 3.11 to 3.13), STACK (lake)\n'

demo: stack-environments  ## run generated weeks of every dataset through the whole pipeline, show the result, stop everything
	@PYTHONPATH=plugins $(AIRFLOW_PYTHON) -m tools.demo

up: stack-environments  ## start the local AWS and Airflow, deploy the lake there, write .local/env
	@$(AIRFLOW_PYTHON) -m tools.stack up $(ARGUMENTS)

down: airflow-environment  ## stop everything that `make up` started
	@$(AIRFLOW_PYTHON) -m tools.stack down

status: airflow-environment  ## say what runs, and the memory it takes
	@$(AIRFLOW_PYTHON) -m tools.stack status

check: environments  ## lint, types, templates, fast tests: under two minutes
	@$(AIRFLOW_PYTHON) -m tools.checks check

test: environments  ## everything: check, then integration and end-to-end tests
	@$(AIRFLOW_PYTHON) -m tools.checks test

chaos: environments  ## what takes long: a simulated year, with changed contracts and killed processes; 20,000 odd files; 30 exports
	@FUZZ_FILES=20000 $(AIRFLOW_PYTHON) -m tools.checks chaos

bench: stack-environments  ## measure jobs and DAG files; adds to benchmarks/history: make bench AGAINST=../before ARGUMENTS='--rows 1000000'
	@.venvs/worker/bin/python -m benchmarks.bulk $(if $(AGAINST),--against '$(AGAINST)') $(ARGUMENTS)
	@.venvs/worker/bin/python -m benchmarks.reprocess
	@$(AIRFLOW_PYTHON) -m benchmarks.dag_files $(if $(AGAINST),--build '$(AGAINST)')

deploy: airflow-environment  ## deploy the lake to AWS with your own credentials, and write .local/aws.env
	@mkdir -p .local
	@.venvs/tools/bin/uv export --frozen --quiet --only-group worker --format requirements-txt --output-file .local/worker-requirements.txt
	@PYTHONPATH=plugins $(AIRFLOW_PYTHON) -m infra.deploy deploy --stack '$(STACK)' --environment-file '$(AWS_ENV)' --requirements .local/worker-requirements.txt $(ARGUMENTS)
	@echo 'Deployed. The outputs are in $(AWS_ENV); `. $(AWS_ENV)` gives them to your shell.'

teardown: airflow-environment  ## delete the lake from AWS, with your own credentials
	@PYTHONPATH=plugins $(AIRFLOW_PYTHON) -m infra.deploy teardown --stack '$(STACK)' $(ARGUMENTS)

rebuild-catalog: airflow-environment  ## make the Glue catalog again from S3 alone, with your own credentials
	@PYTHONPATH=plugins $(AIRFLOW_PYTHON) -m tools.rebuild_catalog $(ARGUMENTS)

remove-mart: airflow-environment  ## take away a mart that its contract no longer has: make remove-mart NAME=orders/some_mart
	@PYTHONPATH=plugins $(AIRFLOW_PYTHON) -m tools.remove_mart '$(NAME)'

compose-env:  ## write the secrets that docker-compose.yaml needs to .local/compose.env
	@tools/bootstrap.sh
	@.venvs/tools/bin/python -m tools.compose
	@echo 'Next: docker compose up --build'

format: environments  ## format Python and SQL
	@$(DEV)/ruff check --quiet --fix-only . && $(DEV)/ruff format .
	@$(DEV)/sqlfluff fix --quiet include/sql

docs: airflow-environment  ## write docs/datasets and the contracts' JSON Schema again
	@PYTHONPATH=plugins $(AIRFLOW_PYTHON) -m tools.dataset_docs

dataset: stack-environments  ## begin a dataset from a sample file: make dataset NAME=returns SAMPLE=returns.csv
	@PYTHONPATH=plugins $(AIRFLOW_PYTHON) -m tools.new_dataset '$(NAME)' '$(SAMPLE)'

screenshots: stack-environments  ## take the pictures in docs/images again; needs chromium
	@PYTHONPATH=plugins $(AIRFLOW_PYTHON) -m tools.screenshots

environments: stack-environments
	@tools/bootstrap.sh dev scan

stack-environments:
	@tools/bootstrap.sh airflow worker localaws

airflow-environment:
	@tools/bootstrap.sh airflow
