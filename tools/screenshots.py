"""`python -m tools.screenshots`: run the demo and take the pictures in docs/images: its end, and Airflow's graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from tools import stack
from tools.airflow_api import AirflowApi
from tools.browser import find_chromium, page
from tools.console import console, run, step
from tools.demo import DAG_ID, WEEK
from tools.environment import CHECKOUT, LOCAL
from tools.processes import StackError

IMAGES = CHECKOUT / "docs" / "images"


def screenshots() -> None:
    """Take all pictures.

    Raises:
        StackError: when Chromium is missing, the stack runs already, or the demo fails.
    """
    find_chromium()
    if stack.is_running():
        raise StackError("the pictures show a demo from its start to its end: run `make down` first")
    svg = LOCAL / "demo.svg"
    if subprocess.run([sys.executable, "-m", "tools.demo", "--picture", str(svg)], check=False).returncode:
        raise StackError("the demo failed; no picture was taken")
    with step("docs/images/demo.png"):
        picture_of_svg(svg, IMAGES / "demo.png")
    try:
        address = stack.up(schedule=False)["AIRFLOW__API__BASE_URL"]
        with step("docs/images/graph.png"):
            picture_of_graph(address, IMAGES / "graph.png")
    finally:
        stack.down()
    console.print(f"the pictures are in {IMAGES.relative_to(CHECKOUT)}")


def picture_of_svg(svg: Path, picture: Path) -> None:
    """Render an SVG file as large as it is."""
    view_box = svg.read_text().split('viewBox="', 1)[1].split('"', 1)[0].split()
    width, height = (round(float(number)) for number in view_box[2:])
    with page(width, height) as shown:
        shown.open(svg.as_uri(), "document.documentElement.tagName == 'svg'")
        shown.save_picture(picture)


def picture_of_graph(address: str, picture: Path) -> None:
    """Take Airflow's graph of the last date that the demo loaded."""
    api = AirflowApi(address)
    last_run = api.backfill_runs(DAG_ID, WEEK.last, WEEK.last)[-1]["dag_run_id"]
    tasks = len(api.task_instances(DAG_ID, last_run))
    with page(1800, 760) as shown:
        shown.before_each_page("localStorage.setItem('default_dag_view', JSON.stringify('graph'))")
        url = f"{address}/dags/{DAG_ID}/runs/{quote(last_run, safe='')}"
        shown.open(url, f"document.querySelectorAll('.react-flow__node').length >= {tasks}")
        shown.save_picture(picture)


def main() -> int:
    """Take the pictures."""
    return run(screenshots)


if __name__ == "__main__":
    sys.exit(main())
