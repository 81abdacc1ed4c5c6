"""What the stack is called here: the CloudFormation outputs, as environment variables `LAKE_…`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

from contract.names import Names


class SettingsError(RuntimeError):
    """An environment variable that the stack's deployment writes is missing."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The outputs of `infra/stacks` that Airflow needs, and what may be set beside them.

    Args:
        name: what the lake is called, which its snapshots are tagged with.
        raw_bucket: bucket in which files land.
        processed_bucket: bucket of staging, quarantine and published runs.
        enriched_bucket: bucket of the marts.
        artifacts_bucket: bucket of job code, manifests, leases, Data Docs and command output.
        athena_workgroup: workgroup in which the marts are computed.
        worker_instance_id: EC2 instance that runs Spark.
        worker_data_volume_id: EBS volume of that instance on which raw data is staged.
        worker_document: SSM document that starts a job on that instance, the only one Airflow may send.
        worker_log_group: CloudWatch log group of the worker's commands.
        alert_topic_arn: SNS topic of the alerts.
        personal_data_key_arn: secret that personal data is hashed with; only the worker may read it.
        worker_instance_types: what the worker may have, separated by commas, its own first; empty for what it has.
        catalog_prefix: what stands before the names of databases and crawlers; nothing in the stack `lake`.
        data_docs_url: where the Data Docs are served, without a slash at the end; empty links to the S3 console.
    """

    name: str
    raw_bucket: str
    processed_bucket: str
    enriched_bucket: str
    artifacts_bucket: str
    athena_workgroup: str
    worker_instance_id: str
    worker_data_volume_id: str
    worker_document: str
    worker_log_group: str
    alert_topic_arn: str
    personal_data_key_arn: str
    worker_instance_types: str = ""
    catalog_prefix: str = ""
    data_docs_url: str = ""

    def names(self, dataset: str) -> Names:
        """Return what everything of a dataset is called in this stack."""
        return Names(dataset, self.catalog_prefix)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read each setting from `LAKE_<NAME>`.

        Raises:
            SettingsError: names every variable that is missing.
        """
        variables = {field.name: f"LAKE_{field.name.upper()}" for field in fields(cls)}
        optional = {variables[field.name] for field in fields(cls) if field.default is not MISSING}
        missing = [name for name in variables.values() if name not in optional and not environment.get(name)]
        if missing:
            raise SettingsError(
                f"{', '.join(missing)} not set: source the environment file that `make up` (.local/env) "
                "or `make deploy` writes from the stack's outputs, before Airflow starts"
            )
        given = {name: environment[variable] for name, variable in variables.items() if environment.get(variable)}
        return cls(**given)
