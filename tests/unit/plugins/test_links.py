from dataclasses import MISSING, fields

import pytest
from lake.links import data_docs_url
from lake.settings import Settings

PAGE = "s3://artifacts/data-docs/orders/ds=2025-06-30/run=a b/index.html"


@pytest.mark.parametrize(
    ("served", "url"),
    [
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001/orders/ds=2025-06-30/run=a%20b/index.html"),
        ("https://docs.example/", "https://docs.example/orders/ds=2025-06-30/run=a%20b/index.html"),
        (
            "",
            "https://console.aws.amazon.com/s3/object/artifacts?prefix=data-docs/orders/ds%3D2025-06-30/run%3Da%20b/index.html",
        ),
    ],
)
def test_a_page_is_linked_where_a_browser_finds_it(served, url):
    required = {field.name: "x" for field in fields(Settings) if field.default is MISSING}
    assert data_docs_url(Settings(**required, data_docs_url=served), PAGE) == url
