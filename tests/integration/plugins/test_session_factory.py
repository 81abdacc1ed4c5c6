"""Hooks of the provider share what they have read of AWS's services."""

import pytest
from airflow.providers.amazon.aws.hooks.ec2 import EC2Hook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.ssm import SsmHook
from botocore.loaders import JSONFileLoader


@pytest.mark.usefixtures("settings")
def test_a_second_hook_of_a_service_reads_nothing_of_aws_again(monkeypatch, outputs):
    hooks = [(S3Hook, {}), (SsmHook, {}), (EC2Hook, {"api_type": "client_type"})]

    def clients():
        return [hook(aws_conn_id="aws_default", **options).conn for hook, options in hooks]

    first, read, load_file = clients(), [], JSONFileLoader.load_file
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda self, path: read.append(path) or load_file(self, path))
    second = clients()
    assert read == []
    assert not {id(client) for client in first} & {id(client) for client in second}
    assert second[2].describe_instances(InstanceIds=[outputs["LAKE_WORKER_INSTANCE_ID"]])["Reservations"]
