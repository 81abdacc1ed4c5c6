"""What jobs are told of other datasets and of earlier dates, and where their verdict is found."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException
from lake.contracts import load_contracts
from lake.links import DataDocsLink, data_docs_url
from lake.operators.clean import CleanOperator
from lake.operators.validate import ValidateOperator
from lake.published import folders_of_other_datasets, rows_before
from lake.tables import public_table

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACTS = load_contracts()
DATES = {"dataset": "sales", "ds": "2025-03-02", "run": "a-run"}


def folder(settings, dataset, ds):
    return f"s3://{settings.processed_bucket}/{dataset}_runs/ds={ds}/run=a-run/"


@pytest.fixture(scope="module")
def publish(aws):
    def publish(settings, dataset, ds, rows=1):
        table = public_table(aws("glue"), settings, CONTRACTS[dataset])
        table.ensure()
        table.point(
            ds,
            folder(settings, dataset, ds),
            {"submission": "a-run-0123abcd", "numRows": f"{rows}", "profile": json.dumps({"mean_quantity": rows / 2})},
        )

    return publish


@pytest.fixture
def nothing_deployed(monkeypatch):
    """Jobs fail before the worker is asked for, when what they would read is written."""
    monkeypatch.setattr("lake.operators.worker_job.digest_of_this_process", lambda: "a" * 64)


@pytest.fixture
def airflow_glue(settings):  # noqa: ARG001 - the connection must be set
    from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook

    return GlueCatalogHook().conn


@pytest.fixture
def manifest(settings):
    return lambda task: f"s3://{settings.artifacts_bucket}/manifests/sales/ds=2025-03-02/run=a-run/{task}.json"


@pytest.fixture
def read(aws):
    def read(uri):
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        return json.load(aws("s3").get_object(Bucket=bucket, Key=key)["Body"])

    return read


def task(operator, settings, dataset, arguments, manifest, **more):
    name = operator.__name__.removesuffix("Operator").lower()
    return operator(
        task_id=name,
        settings=settings,
        contract=CONTRACTS[dataset],
        arguments=arguments,
        run_name="a-run",
        manifest=manifest(name),
        **more,
    )


@pytest.mark.usefixtures("nothing_deployed")
def test_a_dataset_is_read_as_of_the_runs_date(settings, airflow_glue, publish, manifest, read, context):
    publish(settings, "customers", "2025-03-01")
    publish(settings, "customers", "2025-03-03")
    wanted = {"customers": {"2025-03-01": folder(settings, "customers", "2025-03-01")}, "products": {}}
    assert folders_of_other_datasets(airflow_glue, settings, CONTRACTS["sales"], "2025-03-02") == wanted
    clean = task(CleanOperator, settings, "sales", DATES, manifest, references=manifest("references"))
    with pytest.raises(AirflowException, match="are not deployed"):
        clean.execute(context("clean"))
    assert read(manifest("references")) == wanted
    assert clean.arguments == {**DATES, "references": manifest("references")}


def test_only_who_has_personal_columns_is_told_the_key(settings, manifest):
    for dataset, expected in (("orders", {}), ("customers", {"personal-key": settings.personal_data_key_arn})):
        clean = task(CleanOperator, settings, dataset, {}, manifest, references=manifest("references"))
        assert clean.arguments == expected
        assert settings.personal_data_key_arn.startswith("arn:aws:secretsmanager:")


@pytest.mark.usefixtures("nothing_deployed")
def test_the_history_is_that_of_the_last_dates_before(settings, airflow_glue, publish, manifest, read, context):
    assert rows_before(airflow_glue, settings.names("sales"), "2025-03-02") == []
    for day in range(1, 21):
        publish(settings, "sales", f"2025-02-{day:02}", rows=day)
    publish(settings, "sales", "2025-03-02", rows=1000)
    validate = task(ValidateOperator, settings, "sales", DATES, manifest, history=manifest("history"))
    with pytest.raises(AirflowException, match="are not deployed"):
        validate.execute(context("validate"))
    wanted = [{"ds": f"2025-02-{day:02}", "rows": day, "mean_quantity": day / 2} for day in range(7, 21)]
    assert read(manifest("history")) == wanted == rows_before(airflow_glue, settings.names("sales"), "2025-03-02")


def test_a_validation_links_to_the_page_that_it_wrote(aws, settings, manifest):
    validate = task(ValidateOperator, settings, "sales", {}, manifest, history=manifest("history"))
    link = DataDocsLink()
    assert link.get_link(validate, ti_key=SimpleNamespace()) == ""
    page = f"s3://{settings.artifacts_bucket}/data-docs/sales/ds=2025-03-02/run=a-run-1/index.html"
    aws("s3").put_object(
        Bucket=settings.artifacts_bucket,
        Key="manifests/sales/ds=2025-03-02/run=a-run/validate.json",
        Body=json.dumps({"success": False, "docs": page}),
    )
    assert link.get_link(validate, ti_key=SimpleNamespace()) == data_docs_url(settings, page)
