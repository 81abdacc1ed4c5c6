"""Patterns of dates are checked when a contract is loaded, and the one that was meant is told."""

from __future__ import annotations

import pytest
from contract.date_patterns import PatternError, check


@pytest.mark.parametrize(
    "pattern",
    [
        "yyyy-MM-dd HH:mm:ss",
        "dd.MM.yy",
        "d MMM yyyy",
        "MM/dd/yyyy hh:mm:ss a",
        "yyyyMMddHHmmssSSS",
        "yyyy-MM-dd'T'HH:mm:ss[.SSSSSS][XXX]",
        "[yyyy-MM-dd HH:mm][dd.MM.yyyy HH:mm]",
        "yyyy-MM-dd HH:mm:ss 'UTC'",
        "yyyy-MM",
        "[yyyy-MM-dd][dd-MM-yyyy][d-M-yyyy]",
        "[yyyy.MM.dd][dd.MM.yyyy][yyyy.DDD][yyyyMMdd]",
        "[dd MMM yyyy][MMM dd yyyy][dd MMMM yyyy]",
    ],
)
def test_patterns_that_can_be_read(pattern: str) -> None:
    check(pattern, "timestamp")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("MM-dd", "has no year"),
        ("yyyy-dd", "has no month"),
        ("HH:mm", "has no year"),
        ("'yyyy'", "has no year"),
        ("[]", "is empty"),
        ("yyyy-MM-DDD", "has the day of the year beside month or day; did you mean 'yyyy-MM-dd'?"),
        ("DDD", "has no year"),
        ("[yyyy-]MM-dd", "has no year, where it is 'MM-dd'"),
        ("yyyy-MM-dd HH:mm[:ss][.SSS]", "has the fraction without the second, where it is 'yyyy-MM-dd HH:mm.SSS'"),
        ("yyyy-MM-dd HH:mm:ss VV", "has VV, which cannot be read: the name of a zone can mean two times"),
        ("yyyy-MM-dd HH:mm:ss z", "has z, which cannot be read: the name of a zone can mean two times"),
        ("EEE, dd MMM yyyy HH:mm:ss Z", "has EEE, which cannot be read: Spark reads no days of the week"),
        ("yyyy-MM-dd HH:mm:ss.SSSSSSSSSS", "has SSSSSSSSSS, which cannot be read"),
        ("yyyyMd", "has yyyyM, of which it cannot be told where the first number ends"),
        ("yyyy-MM-dd HH:mm:ss a", "has a without hh, AM or PM; did you mean 'yyyy-MM-dd hh:mm:ss a'?"),
        ("yyyy-MM-dd'T", "has a quote that is not closed"),
        ("yyyy-MM-dd[", "has a bracket that is not closed"),
        ("yyyy-MM-dd]", "has a bracket that is not opened"),
        ("y[-][-][-][-][-]", "has too many optional parts"),
        ("[dd/MM/yyyy][M/d/yyyy]", "stands for both 'dd/MM/yyyy' and 'M/d/yyyy', which cannot be told from each other"),
        ("[dd.MM.y][MM.dd.yyyy]", "stands for both 'dd.MM.y' and 'MM.dd.yyyy'"),
        ("[dd.MM.y][y.MM.dd]", "stands for both 'dd.MM.y' and 'y.MM.dd'"),
        ("[dd.MM.yy][dd.MM.y]", "stands for both 'dd.MM.yy' and 'dd.MM.y'"),
        ("[yyyy-D][yyyy-MM]", "stands for both 'yyyy-D' and 'yyyy-MM'"),
        ("['20'yy-MM-dd][yyyy-dd-MM]", "stands for both \"'20'yy-MM-dd\" and 'yyyy-dd-MM'"),
        ("[yyyy-dd-MM]['20'yy-MM-dd]", "stands for both 'yyyy-dd-MM' and \"'20'yy-MM-dd\""),
        ("yyyy-MM-dd HH:mm:ss[-SSSS][Z]", "stands for both 'yyyy-MM-dd HH:mm:ss-SSSS' and 'yyyy-MM-dd HH:mm:ssZ'"),
        ("[yyyyMMdd][ddMMyyyy]", "stands for both 'yyyyMMdd' and 'ddMMyyyy'"),
        ("ISO8601", "has I, which cannot be read"),
    ],
)
def test_patterns_that_cannot(pattern: str, problem: str) -> None:
    with pytest.raises(PatternError) as refused:
        check(pattern, "timestamp")
    assert f"{refused.value}".startswith(f"{pattern!r} {problem}")


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("YYYY-MM-DD", "yyyy-MM-dd"),
        ("%Y-%m-%d", "yyyy-MM-dd"),
        ("%d/%m/%y", "dd/MM/yy"),
        ("%d-%b-%Y", "dd-MMM-yyyy"),
        ("%Y%m%d", "yyyyMMdd"),
        ("%F", "yyyy-MM-dd"),
        ("yyyy-mm-dd", "yyyy-MM-dd"),
        ("dd/mm/yyyy", "dd/MM/yyyy"),
        ("mm/dd/yyyy", "MM/dd/yyyy"),
        ("DD.MM.YYYY", "dd.MM.yyyy"),
        ("yyyy-MM-DD", "yyyy-MM-dd"),
        ("DD-MON-YY", "dd-MMM-yy"),
        ("YYYYMMDD", "yyyyMMdd"),
        ("uuuu-MM-dd", "yyyy-MM-dd"),
    ],
)
def test_the_date_that_was_meant_is_told(pattern: str, meant: str) -> None:
    with pytest.raises(PatternError) as refused:
        check(pattern, "date")
    assert f"{refused.value}".endswith(f"; did you mean {meant!r}?")


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("%Y-%m-%dT%H:%M:%S.%f%z", "yyyy-MM-dd'T'HH:mm:ss.SSSSSSxx"),
        ("%m/%d/%Y %I:%M %p", "MM/dd/yyyy hh:mm a"),
        ("yyyy-MM-dd hh:mm:ss", "yyyy-MM-dd HH:mm:ss"),
        ("yyyy-MM-dd HH:MM:SS", "yyyy-MM-dd HH:mm:ss"),
        ("yyyy-MM-dd HH:MM:ss", "yyyy-MM-dd HH:mm:ss"),
        ("yyyy-MM-dd HH:mm:SS", "yyyy-MM-dd HH:mm:ss"),
        ("yyyy-MM-dd HH:mm:ss.sss", "yyyy-MM-dd HH:mm:ss.SSS"),
        ("yyyy-MM-dd HH:mm:ss.fff", "yyyy-MM-dd HH:mm:ss.SSS"),
        ("yyyy-MM-ddTHH:mm:ssZ", "yyyy-MM-dd'T'HH:mm:ssXXX"),
        ("YYYY-MM-DDTHH:mm:ss.SSSZ", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"),
        ("YYYY-MM-DD HH24:MI:SS", "yyyy-MM-dd HH:mm:ss"),
        ("DD-MON-YYYY HH24:MI:SS.FF3", "dd-MMM-yyyy HH:mm:ss.SSS"),
        ("MM/DD/YYYY hh:mm A", "MM/dd/yyyy hh:mm a"),
        ("M/d/yyyy h:mm:ss tt", "M/d/yyyy h:mm:ss a"),
        ("yyyymmddhhmmss", "yyyyMMddHHmmss"),
        ("yyyy-MM-dd mm:ss", None),
    ],
)
def test_the_timestamp_that_was_meant_is_told(pattern: str, meant: str | None) -> None:
    with pytest.raises(PatternError) as refused:
        check(pattern, "timestamp")
    assert f"{refused.value}".endswith(f"; did you mean {meant!r}?") if meant else "mean" not in f"{refused.value}"


def test_a_date_has_no_time_of_day() -> None:
    check("yyyy-MM-dd' 00:00:00'", "date")
    with pytest.raises(PatternError, match="has a time of day or an offset, which a date cannot hold"):
        check("yyyy-MM-dd HH:mm:ss", "date")
    with pytest.raises(PatternError, match="where it is 'yyyy-MM-ddXXX'"):
        check("yyyy-MM-dd[XXX]", "date")
