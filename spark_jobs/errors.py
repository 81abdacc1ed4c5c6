"""What can go wrong because of data, rather than because of a machine."""

from __future__ import annotations


class DataError(Exception):
    """The batch as a whole cannot be used: the job exits with 65 and a retry cannot help.

    The message says which file, which line where there is one, what was expected and what was found.
    """


class NotReadyError(Exception):
    """Something that the batch needs is not there yet: the job exits with 75, and a retry may find it.

    The message says what is missing and how it comes to be.
    """
