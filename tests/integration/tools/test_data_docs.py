"""The server of the Data Docs, over a real bucket: what it shows, and what it never does."""

import http.client
import json
import re
import threading
from urllib.parse import quote

import pytest

from tools import data_docs

RUN = "scheduled__2025-06-30-1a2b3c4d"
PAGE = f"orders/ds=2025-06-30/run={RUN}/index.html"


@pytest.fixture(scope="module")
def bucket(aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket="docs")
    for key in (
        f"data-docs/{PAGE}",
        f"data-docs/orders/ds=2025-06-30/run={RUN}/static/styles/data_docs.css",
        f"data-docs/orders/ds=2025-06-30/run={RUN}/validations/orders/index.html",
        "data-docs/<b>x&/ds=2025-06-29/run=daily-00000000/index.html",
        "data-docs/orders/ds=2025-06-28/run=again-00000001/index.html",
        "data-docs/orders/ds=2025-06-28/run=again-00000000/index.html",
        "manifests/secret.json",
        "secret.json",
    ):
        s3.put_object(Bucket="docs", Key=key, Body=f"content of {key}".encode())
    for run, ds, page, success, failed in (
        ("scheduled__2025-06-30", "2025-06-30", PAGE, True, [{}, {}]),
        ("again", "2025-06-28", "orders/ds=2025-06-28/run=again-00000001/index.html", False, [{}]),
    ):
        manifest = {"docs": f"s3://docs/data-docs/{page}", "success": success, "failed": failed}
        key = f"manifests/orders/ds={ds}/run={run}/validate.json"
        s3.put_object(Bucket="docs", Key=key, Body=json.dumps(manifest).encode())
    return "docs"


@pytest.fixture(scope="module")
def port(aws, bucket):
    server = data_docs.server(data_docs.DataDocs(aws("s3"), bucket), 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def request_(port):
    def ask(path, method="GET", host=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{port}")
        connection.endheaders()
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response, body

    return ask


def test_the_list_shows_every_validation_the_newest_first(request_):
    response, body = request_("/")
    assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "4 validations" in body
    order = [body.index(f">{ds}</a>") for ds in ("2025-06-28", "2025-06-29", "2025-06-30")]
    assert order == sorted(order), "the one written last comes first"
    assert f'href="/{PAGE}"' in body


def test_the_list_says_what_came_out_of_each_where_that_is_known(request_):
    _, body = request_("/?dataset=orders")
    rows = [re.findall(r"<td[^>]*>(?:<a[^>]*>)?([^<]*)", row) for row in body.split("<tr>")[2:]]
    assert {row[3]: row[2] for row in rows} == {
        RUN: "passed, 2 warnings",
        "again-00000001": "failed",
        # Its task was tried again, and the manifest speaks of that try.
        "again-00000000": "",
    }


def test_the_list_can_be_of_one_dataset(request_):
    _, body = request_("/?dataset=orders")
    assert "3 validations" in body
    assert ">2025-06-29<" not in body
    _, body = request_("/?dataset=none<script>")
    assert "no Data Docs yet" in body
    assert "<script>" not in body


def test_names_are_shown_as_text_and_their_links_work(request_):
    _, body = request_(f"/?dataset={quote('<b>x&')}")
    assert "&lt;b&gt;x&amp;" in body
    href = body.split('<tr><td><a href="')[1].split('"')[0]
    assert request_(href)[1] == "content of data-docs/<b>x&/ds=2025-06-29/run=daily-00000000/index.html"


def test_pages_and_what_they_need_are_served_as_what_they_are(request_):
    for path, kind in ((PAGE, "text/html"), (PAGE.replace("index.html", "static/styles/data_docs.css"), "text/css")):
        response, body = request_(f"/{path}")
        assert (response.status, response.headers["Content-Type"], body) == (200, kind, f"content of data-docs/{path}")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    response, body = request_(f"/{PAGE}", method="HEAD")
    assert (response.status, body) == (200, "")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.json",
        "/../manifests/secret.json",
        "/..%2fsecret.json",
        "/%2e%2e/secret.json",
        "/orders/../../secret.json",
        "/orders/./../../manifests/secret.json",
        "/..\\secret.json",
        "//secret.json",
        "/orders//ds=2025-06-30",
        "/orders/",
        "/absent.html",
        "/a%00b",
        "/secret.json",
    ],
)
def test_nothing_else_of_the_bucket_is_reached(request_, path):
    response, body = request_(path)
    assert response.status == 404
    assert "content of" not in body


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_is_written(request_, method):
    assert request_(f"/{PAGE}", method=method)[0].status == 501


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5001", "127.0.0.1.evil.example", ""])
def test_a_foreign_name_for_this_machine_is_refused(request_, host):
    assert request_("/", host=host or " ")[0].status == 403


def test_it_listens_on_this_machine_only(aws, bucket):
    server = data_docs.server(data_docs.DataDocs(aws("s3"), bucket), 0)
    assert server.server_address[0] == "127.0.0.1"
    server.server_close()


def test_a_bucket_that_cannot_be_read_is_said(aws):
    server = data_docs.server(data_docs.DataDocs(aws("s3"), "absent-bucket"), 0)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert (response.status, "NoSuchBucket" in response.read().decode()) == (502, True)
    connection.close()
    thread.join()
    server.server_close()
