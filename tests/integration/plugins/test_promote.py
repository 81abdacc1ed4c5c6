"""What passed validation gets into a folder that nobody overwrites, this operator included."""

import hashlib
import json
import uuid

import pytest
from airflow.sdk.exceptions import AirflowFailException
from contract.dataset import load_contract
from lake.operators import promote
from lake.operators.promote import PromoteOperator
from lake.paths import Paths

from tests.integration.plugins.publishing import REPOSITORY, judged

CONTRACT = load_contract(REPOSITORY / "include" / "datasets" / "orders.yaml")
DS = "2031-06-30"


@pytest.fixture
def cleaned(aws, settings):
    """`cleaned(b"...")` leaves a validated file of a run of the test's own; returns where it is to be promoted to."""
    run = f"promote-{uuid.uuid4().hex[:8]}"
    paths = Paths(settings, CONTRACT, DS, run)
    submission = f"{run}-0123abcd"

    def put(content):
        key = f"_staging/orders/ds={DS}/run={submission}/part-00000.parquet"
        aws("s3").put_object(Bucket=settings.processed_bucket, Key=key, Body=content)
        file = {"key": key, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for task, manifest in {
            "stage_raw": {"ds": DS, "listed": "1"},
            "clean": {"ds": DS, "submission": submission, "rows": {"published": 1}, "output": {"files": [file]}},
            "validate": {"success": True, "submission": submission, **judged(CONTRACT)},
        }.items():
            _, _, bucket, manifest_key = paths.manifest(task).split("/", 3)
            aws("s3").put_object(Bucket=bucket, Key=manifest_key, Body=json.dumps(manifest).encode())
        where = {"Bucket": settings.processed_bucket, "Key": key.replace("_staging/orders/", "orders_runs/")}
        return where, PromoteOperator(
            task_id="promote", settings=settings, contract=CONTRACT, run_name=run, dates=DS
        ).execute

    return put


def test_a_retry_goes_on_where_the_same_file_is_there(aws, cleaned, context):
    where, execute = cleaned(b"rows")
    execute(context("promote"))
    first = aws("s3").head_object(**where)["VersionId"]
    execute(context("promote"))
    assert aws("s3").head_object(**where)["VersionId"] == first


def test_another_file_is_never_overwritten(aws, cleaned, context):
    where, execute = cleaned(b"rows")
    # As long as the cleaned one, so that its size does not give it away.
    aws("s3").put_object(**where, Body=b"ROWS")
    with pytest.raises(AirflowFailException, match=r"part-00000.parquet is there with another content.*never change"):
        execute(context("promote"))
    assert aws("s3").get_object(**where)["Body"].read() == b"ROWS"


def test_what_is_too_large_for_one_copy_is_never_overwritten_either(aws, cleaned, context, monkeypatch):
    monkeypatch.setattr(promote, "COPY_BYTES", 5 << 20)
    content = bytes(range(256)) * (45 << 10)
    where, execute = cleaned(content)
    execute(context("promote"))
    promoted = aws("s3").get_object(**where)
    assert promoted["Body"].read() == content
    assert promoted["ETag"].endswith('-3"')
    execute(context("promote"))
    assert aws("s3").head_object(**where)["VersionId"] == promoted["VersionId"]
    aws("s3").put_object(**where, Body=b"ROWS")
    with pytest.raises(AirflowFailException, match="is there with another content"):
        execute(context("promote"))
