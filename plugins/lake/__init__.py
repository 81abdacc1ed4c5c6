"""How Airflow talks to AWS, and the dataset contract that the Spark jobs share with it (`lake.contract`)."""
