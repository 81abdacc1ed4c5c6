import io
import shutil
import zipfile

import pytest
from lake import bundle
from lake.bundle import PARTS, REPOSITORY, build_bundle


@pytest.fixture
def checkout(tmp_path):
    for part in PARTS:
        for file in REPOSITORY.glob(part):
            target = tmp_path / file.relative_to(REPOSITORY)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return tmp_path


def test_the_same_files_give_the_same_bytes(checkout):
    assert build_bundle(checkout) == build_bundle(REPOSITORY)


def test_every_python_on_every_machine_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "PARTS", ("jobs/*.py",))
    (tmp_path / "jobs").mkdir()
    for name in "ab":
        (tmp_path / "jobs" / f"{name}.py").write_text("print()\n" * 100)
    # Who deploys and who names what was deployed need not have the same: this must never change by itself.
    digest, _ = build_bundle(tmp_path)
    assert digest == "f5e954a40351b221c1d58724098e95743dea794c5319a52fc9164010c7339798"


def test_a_changed_job_gives_another_name(checkout):
    before, _ = build_bundle(checkout)
    with (checkout / "spark_jobs" / "clean.py").open("a") as job:
        job.write("\n# changed\n")
    assert build_bundle(checkout)[0] != before


def test_it_holds_what_the_jobs_import_and_nothing_of_airflow():
    _, content = build_bundle()
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert {"spark_jobs/clean.py", "plugins/contract/dataset.py", "include/datasets/orders.yaml"} <= set(names)
    assert not [name for name in names if name.startswith(("dags/", "plugins/lake/"))]


def test_a_missing_part_is_an_error(checkout):
    shutil.rmtree(checkout / "expectations")
    with pytest.raises(FileNotFoundError, match="expectations"):
        build_bundle(checkout)
