"""`python health.py URL [COMPONENT]`: exit with 0 when URL answers and, of Airflow, COMPONENT is healthy."""

import json
import sys
import urllib.request


def main(url: str, component: str | None = None) -> None:
    """Ask `url` once, and exit with 1 when it or the component of it is not healthy."""
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  an address of docker-compose.yaml
        report = json.load(response)
    if component and report[component]["status"] != "healthy":
        sys.exit(f"{component}: {report[component]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
