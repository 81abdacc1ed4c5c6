"""Links from a task in the Airflow UI to what it made."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from contract.files import split_s3

from lake.settings import Settings

DATA_DOCS_PREFIX = "data-docs/"


def data_docs_url(settings: Settings, uri: str) -> str:
    """Return where a browser finds a page of the Data Docs.

    Args:
        settings: the stack's names; `data_docs_url` is where the pages are served, if they are.
        uri: the page, `s3://<artifacts>/data-docs/...`.

    Returns:
        The page's address on that server, or else its place in the S3 console.
    """
    bucket, key = split_s3(uri)
    if settings.data_docs_url:
        return f"{settings.data_docs_url.rstrip('/')}/{quote(key.removeprefix(DATA_DOCS_PREFIX), safe='/=')}"
    return f"https://console.aws.amazon.com/s3/object/{bucket}?prefix={quote(key)}"


class DataDocsLink(BaseOperatorLink):
    """Link a validation to the Data Docs that it wrote, above all when it failed."""

    name = "Data Docs"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the page's address, or nothing while there is no page.

        Args:
            operator: the `ValidateOperator`, its templates rendered.
            ti_key: the task instance; the operator knows all that is needed.
        """
        uri = operator.data_docs()
        return data_docs_url(operator.settings, uri) if uri else ""
