from dataclasses import fields

import pytest
from lake.settings import Settings, SettingsError


def test_each_setting_comes_from_its_variable():
    environment = {f"LAKE_{field.name.upper()}": f"value of {field.name}" for field in fields(Settings)}
    assert Settings.from_environment(environment).raw_bucket == "value of raw_bucket"


def test_every_missing_variable_is_named_with_what_to_do():
    with pytest.raises(SettingsError, match=r"LAKE_PROCESSED_BUCKET.*LAKE_ALERT_TOPIC_ARN.*make up"):
        Settings.from_environment({"LAKE_RAW_BUCKET": "raw"})


def test_where_data_docs_are_served_need_not_be_set():
    environment = {f"LAKE_{field.name.upper()}": "x" for field in fields(Settings) if field.name != "data_docs_url"}
    assert Settings.from_environment(environment).data_docs_url == ""
