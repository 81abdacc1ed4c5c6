"""A submission's name says which run made it, and what is none is refused."""

from __future__ import annotations

import pytest
from contract.submission import Submission


def test_a_run_may_have_dashes_and_every_try_has_a_name_of_its_own() -> None:
    first, second = Submission.new("manual__2025-06-30T00-00-00"), Submission.new("manual__2025-06-30T00-00-00")
    assert first != second
    assert (first.run, Submission.parse(str(first))) == ("manual__2025-06-30T00-00-00", first)


def test_the_folder_names_it() -> None:
    folder = "s3://processed/orders_runs/ds=2025-06-30/run=scheduled__a-0123abcd/"
    assert Submission.of_folder(folder) == Submission("scheduled__a", "0123abcd")


@pytest.mark.parametrize("name", ["", "run", "run-0123abcx", "run-0123abcde", "-0123abcd", "a/b-0123abcd"])
def test_what_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a submission"):
        Submission.parse(name)


def test_what_was_written_before_the_word_is_understood() -> None:
    assert Submission.told({"run_id": "a-0123abcd"}) == Submission.told({"submission": "a-0123abcd"})
