"""Airflow's home and the stack's names, set before anything imports Airflow."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]

os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(REPOSITORY / "dags")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(REPOSITORY / "plugins")
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
for name in (
    "NAME",
    "RAW_BUCKET",
    "PROCESSED_BUCKET",
    "ENRICHED_BUCKET",
    "ARTIFACTS_BUCKET",
    "ATHENA_WORKGROUP",
    "WORKER_INSTANCE_ID",
    "WORKER_DATA_VOLUME_ID",
    "WORKER_DOCUMENT",
    "WORKER_LOG_GROUP",
    "ALERT_TOPIC_ARN",
    "PERSONAL_DATA_KEY_ARN",
):
    os.environ[f"LAKE_{name}"] = name.lower().replace("_", "-")
