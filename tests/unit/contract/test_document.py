"""A document says what PyYAML says that it says, and where."""

from __future__ import annotations

from typing import Any

import yaml
from contract.document import read_document
from hypothesis import given
from hypothesis import strategies as st

SCALARS = st.one_of(
    st.text(),
    st.sampled_from(["yes", "null", "~", "", "1_000", "0x1f", "1e3", "2025-06-30", "<", "a: b", "- a", "# a", "é"]),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False),
    st.dates(),
    st.datetimes(),
)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)), max_leaves=20
)


def without_lists(value: Any) -> Any:
    """The same with tuples instead of lists, which a model that nobody can change is made of."""
    if isinstance(value, dict):
        return {key: without_lists(inner) for key, inner in value.items()}
    return tuple(map(without_lists, value)) if isinstance(value, list) else value


@given(DOCUMENTS, st.booleans())
def test_a_document_says_what_pyyaml_reads(document: Any, flow: bool) -> None:
    text = yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True)
    assert read_document(text)[0] == without_lists(yaml.safe_load(text))


def test_an_alias_says_what_its_anchor_says() -> None:
    text = "one: &same {a: [1, 2]}\ntwo: *same\nthree: &text !!str 5\nfour: *text"
    assert read_document(text)[0] == without_lists(yaml.safe_load(text))


def test_every_value_has_its_line() -> None:
    _, lines = read_document("# first\na:\n  - b: 1\n    c: [x,\n        y]\n  -\n    d\n")
    assert lines == {
        (): 2,
        ("a",): 2,
        ("a", 0): 3,
        ("a", 0, "b"): 3,
        ("a", 0, "c"): 4,
        ("a", 0, "c", 0): 4,
        ("a", 0, "c", 1): 5,
        ("a", 1): 7,
    }


def test_what_has_no_line_of_its_own_is_where_that_is_which_it_is_in() -> None:
    _, lines = read_document("one: &same {a: 1}\ntwo:\n  - *same\n")
    assert lines["two", 0, "a"] == 3
    assert lines["three", "a"] == lines["three",] == 1
    assert read_document("")[1]["a",] == 1
