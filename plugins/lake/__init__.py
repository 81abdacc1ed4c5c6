"""How Airflow talks to AWS."""
