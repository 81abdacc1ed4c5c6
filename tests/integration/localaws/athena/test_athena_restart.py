"""What Athena knows outlives the server, and a query that was running when it ended has an end."""

from __future__ import annotations

import pytest

from tests.waiting import eventually


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_history_views_and_results_survive(athena, make_localaws, how):
    server = make_localaws()
    server.client("s3").create_bucket(Bucket="results")
    server.client("glue").create_database(DatabaseInput={"Name": "d"})
    here = type(athena)(server.client, "d", "results")
    here.run("CREATE TABLE t AS SELECT 1.50 AS amount")
    here.run("CREATE VIEW v AS SELECT amount FROM t")
    done = here.run("SELECT * FROM v").execution["QueryExecutionId"]
    numbers = "UNNEST(sequence(1, 10000))"
    slow = f"SELECT sum(x * y % 7 + z) FROM {numbers} AS a (x), {numbers} AS b (y), {numbers} AS c (z)"
    running = here.start(slow)
    eventually(lambda: here.state(running) == "RUNNING" and running in server.saved("athena"))
    eventually(lambda: "VIRTUAL_VIEW" in server.saved("glue"))
    getattr(server, how)()
    server.start()
    again = type(athena)(server.client, "d", "results")
    assert again.wait(done)["Status"]["State"] == "SUCCEEDED"
    rows = again.api.get_query_results(QueryExecutionId=done)["ResultSet"]["Rows"]
    assert [cell["VarCharValue"] for row in rows for cell in row["Data"]] == ["amount", "1.50"]
    ended = again.wait(running)["Status"]
    assert ended["State"] == "FAILED"
    assert "the server was stopped" in ended["StateChangeReason"]
    assert again.rows("SELECT * FROM v") == [["1.50"]]
