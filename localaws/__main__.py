"""`python -m localaws --port 4566 --state DIR`: serve AWS until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> None:
    """Set ministack's environment, install the overlay and serve."""
    parser = argparse.ArgumentParser(prog="localaws", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 only inside a container")
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument(
        "--state", type=Path, required=True, help="folder that holds everything: state, objects, volumes"
    )
    arguments = parser.parse_args()
    state = arguments.state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    # ministack reads its settings when it is imported, so they come first.
    os.environ.update(
        GATEWAY_PORT=str(arguments.port),
        BIND_HOST=arguments.host,
        AUTH="true",
        PERSIST_STATE="1",
        STATE_DIR=str(state / "services"),
        S3_PERSIST="1",
        S3_DATA_DIR=str(state / "s3"),
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        LOCALAWS_STATE=str(state),
    )
    from ministack import app

    from localaws import cloudformation

    cloudformation.install()

    sys.argv = sys.argv[:1]  # ministack parses the command line again
    app.main()


if __name__ == "__main__":
    main()
