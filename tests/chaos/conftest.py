"""A stack of its own for each module: what takes long changes contracts."""

import pytest

from tests.e2e.conftest import copy_checkout, running


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """The running stack of a copy of this checkout."""
    with running(copy_checkout(tmp_path_factory.mktemp("checkout")), tmp_path_factory.mktemp("stack")) as stack:
        yield stack
