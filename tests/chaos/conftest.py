"""What takes long runs on the same stack as the end-to-end tests."""

from tests.e2e.conftest import checkout, stack

__all__ = ["checkout", "stack"]
