"""AWS sessions for Airflow that read botocore's descriptions of AWS once a process."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory
from botocore.loaders import Loader

LOADER = Loader()
"""What one session has read of AWS's endpoints, services and waiters, no other reads again."""


class SessionFactory(BaseSessionFactory):
    """The provider's factory, whose sessions share what they read. Airflow's setting `[aws] session_factory` names it.

    Every hook has a session of its own, and else each session would read megabytes of JSON before its first client is
    there: several times a task, half a second of processor time each.
    """

    def create_session(self, deferrable: bool = False) -> Any:
        """Return the session of the connection: boto3's, or aiobotocore's for a trigger."""
        session = super().create_session(deferrable)
        _share(session if deferrable else session._session)
        return session

    def _create_basic_session(self, session_kwargs: dict[str, Any]) -> Any:
        session = super()._create_basic_session(session_kwargs)
        _share(session._session)
        return session


def _share(session: Any) -> None:
    """Let a session of botocore read through `LOADER`."""
    session.register_component("data_loader", LOADER)
