"""The failure of a value, as a function in Python tells the engine of it."""


class Failed(Exception):  # noqa: N818 - a failure of the query, not of this program
    """Trino's error `code` with its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
