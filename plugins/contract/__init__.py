"""What a dataset is: the one model of it, shared by Airflow and the Spark jobs, which knows neither.

It needs pydantic and PyYAML only.
"""
