"""Say which pictures of a dataset's marts do not fit any more, and which marts its contract no longer has."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowSkipException
from contract.dataset import Contract

from lake.catalog import warn_of_table
from lake.dry_run import skip_all_after
from lake.pictures import stale_pictures
from lake.settings import Settings
from lake.tables import abandoned_marts, mart_table, public_table

ABANDONED = "NOT COMPUTED ANY MORE: the contract has no such mart. "


class PlanMartsOperator(AwsBaseOperator[GlueCatalogHook]):
    """List the pictures that the marts of a dataset lack or that do not fit any more, and return the published dates.

    A changed SQL makes every picture of its mart one that does not fit, a date published late those of later dates.
    A mart that the contract no longer has stays readable, is named, and says so in the description of its table;
    `make remove-mart` takes it away. A dry run, which is the default, skips all tasks after this one.

    Args:
        settings: the stack's names.
        contract: the dataset.

    Raises:
        AirflowSkipException: when no date is published.
    """

    aws_hook_class = GlueCatalogHook
    template_fields = aws_template_fields()
    ui_color = "#dbe9f5"

    def __init__(self, *, settings: Settings, contract: Contract, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.contract = contract

    def execute(self, context: Any) -> list[str]:
        """Look, show, and return the dates whose pictures the tasks after this one look at."""
        glue, names = self.hook.conn, self.settings.names(self.contract.dataset)
        source = public_table(glue, self.settings, self.contract)
        dates = sorted(partition["Values"][0] for partition in source.partitions())
        if not dates:
            raise AirflowSkipException(f"no date of {names.database}.{source.name} is published")
        for mart in self.contract.marts:
            target = mart_table(glue, self.settings, self.contract, mart)
            stale = stale_pictures(self.contract, mart, source, target, dates)
            first_and_last = f": {min(stale)} to {max(stale)}" if stale else ""
            self.log.info("%s: %d of %d pictures to compute%s", mart.name, len(stale), len(dates), first_and_last)
        for table in abandoned_marts(glue, self.settings, self.contract):
            self.log.warning("%s.%s: the contract has no such mart any more; it stays as it is", names.database, table)
            warn_of_table(glue, names.database, table, ABANDONED)
        if context["params"]["dry_run"]:
            self.log.info("nothing is computed: this is a dry run")
            skip_all_after(context)
        return dates
