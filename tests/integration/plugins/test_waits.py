"""Queries and crawls that take longer than a moment: awaited without an executor's slot, the queries cancelled."""

import asyncio
import json
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowException, TaskDeferred
from lake import patience
from lake.operators import mart
from lake.operators.crawl import CrawlOperator
from lake.operators.mart import MartOperator
from lake.triggers.athena_query import AthenaQueryTrigger

from tests.integration.plugins.publishing import CONTRACT, DATES
from tests.waiting import eventually

NUMBERS = "UNNEST(sequence(1, 10000))"
SLOW = f"SELECT sum(x * y % z) FROM {NUMBERS} AS a(x) CROSS JOIN {NUMBERS} AS b(y) CROSS JOIN {NUMBERS} AS c(z)"


async def event_of(trigger):
    return (await anext(trigger.run())).payload


def deferred(work, *arguments, **keywords):
    with pytest.raises(TaskDeferred) as deferral:
        work(*arguments, **keywords)
    assert timedelta(0) < deferral.value.timeout <= timedelta(hours=1)
    return deferral.value


@pytest.fixture
def promoted(lake):
    """A run of two dates that were promoted, in a lake that has not crawled yet."""
    lake.forget_crawls()
    run = lake.stage(dict.fromkeys(sorted(DATES)[:2], 1))
    lake.do(run, "promote")
    return run


@pytest.fixture
def operator(lake, settings, promoted, monkeypatch):
    """The operator of a mart of two dates that were published, with a query for each picture."""
    monkeypatch.setattr(mart, "DATES_PER_QUERY", 1)
    run = promoted
    lake.do(run, "publish")
    name = CONTRACT.marts[0].name
    return MartOperator(
        task_id=name, settings=settings, contract=CONTRACT, mart=CONTRACT.marts[0], dates=" ".join(run.saw)
    )


def test_a_long_query_is_awaited_deferred_and_the_work_goes_on_after_it(lake, operator, context, monkeypatch):
    def still_running(*_, **__):
        return "RUNNING"

    here = context(operator.task_id)
    with monkeypatch.context() as slow:
        slow.setattr(mart.AthenaHook, "poll_query_status", still_running)
        first = deferred(operator.execute, here)
        kwargs = json.loads(json.dumps(first.kwargs))
        event = asyncio.run(event_of(first.trigger))
        assert event["status"] == "success"
        second = deferred(getattr(operator, first.method_name), here, event, **kwargs)
        asyncio.run(event_of(second.trigger))
    assert getattr(operator, second.method_name)(here, event, **second.kwargs) == operator.dates.split()
    assert [row[-1] for row in lake.rows(f"SELECT DISTINCT ds FROM {operator.mart.name}")] == operator.dates.split()


def test_a_query_that_takes_too_long_is_cancelled_and_says_so(lake, aws, operator, context):
    query_id = aws("athena").start_query_execution(QueryString=SLOW, WorkGroup=lake.settings.athena_workgroup)[
        "QueryExecutionId"
    ]
    made = {"folder": "s3://nowhere/", "query_id": query_id, "pictures": {}}
    with pytest.raises(AirflowException, match=f"query {query_id} has not ended after 1800 s, and is cancelled"):
        operator.go_on(context(operator.task_id), {"status": "error"}, made, [], [])
    assert_cancelled(aws, query_id)


def test_a_killed_task_cancels_its_query(lake, aws):
    query_id = aws("athena").start_query_execution(QueryString=SLOW, WorkGroup=lake.settings.athena_workgroup)[
        "QueryExecutionId"
    ]
    path, arguments = AthenaQueryTrigger(query_id, 1, 10, "aws_default").serialize()
    assert path == "lake.triggers.athena_query.AthenaQueryTrigger"
    asyncio.run(AthenaQueryTrigger(**arguments).on_kill())
    assert_cancelled(aws, query_id)


def assert_cancelled(aws, query_id):
    def state():
        return aws("athena").get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]["State"]

    eventually(lambda: state() == "CANCELLED")


def test_a_crawl_is_awaited_deferred_and_begins_after_one_that_runs(aws, settings, promoted, context, monkeypatch):
    monkeypatch.setattr(patience, "IN_PLACE_SECONDS", 0)
    glue, here = aws("glue"), context("crawl")
    dates = " ".join(promoted.saw)
    crawl = CrawlOperator(task_id="crawl", settings=settings, contract=CONTRACT, run_name=promoted.name, dates=dates)

    def crawled():
        eventually(lambda: glue.get_crawler(Name=crawl.crawler_name)["Crawler"]["State"] == "READY")
        return glue.get_crawler(Name=crawl.crawler_name)["Crawler"]["LastCrawl"]["StartTime"]

    glue.start_crawler(Name=crawl.crawler_name)
    first = deferred(crawl.execute, here)
    others = crawled()
    second = deferred(getattr(crawl, first.method_name), here, None, **first.kwargs)
    assert crawled() > others
    assert getattr(crawl, second.method_name)(here, None, **second.kwargs) == crawl.crawler_name
