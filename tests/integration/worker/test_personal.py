"""Nothing personal leaves the reader: every byte that the jobs write is searched for what was put in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from tests.integration.worker.conftest import Worker

KEY = "correct-horse-battery-staple-0123456789"
PEOPLE = {
    "Zdenka Wrzesniewska": "zdenka.wrzesniewska@quuxmail.example",
    "Věroslava Čápková": "Veroslava.Capkova@Frobnicate.example",
    "Quillon O'Babbage-Xu": "quillon+spam@snarkmail.example",
}
STRAY = ("Ottoline Nightjar", "Ferdinand Mudlark", "Hildegard Plover-Stint", "Peregrine Godwit", "Balthazar Whimbrel")
DS = "2025-06-24"


def customer(number: int, name: object, email: object, **other: object) -> dict[str, object]:
    fixed = {"country": "NL", "signup_date": "2024-01-01", "customer_tier": "gold"}
    return {"customer_id": f"CUST{number:03}", "name": name, "email": email, **fixed, **other}


def customers() -> Iterator[tuple[str, bytes]]:
    """Files of customers, good and bad in every way that ends in another place."""
    names = list(PEOPLE)
    good = [customer(number, name, email) for number, (name, email) in enumerate(PEOPLE.items())]
    bad = [
        customer(10, names[0], PEOPLE[names[0]], customer_tier="copper"),
        customer(11, names[1], PEOPLE[names[1]], signup_date="soon"),
        customer(12, names[2], "quillon at snarkmail.example"),
        customer(13, {"first": "Ottoline", "last": "Nightjar"}, PEOPLE[names[0]]),
        customer(14, "Ferdinand Mudlark\0", PEOPLE[names[1]]),
        customer(15, "Hildegard Plover-Stint", ["hildegard@snarkmail.example"]),
        customer(16, names[0].upper(), None, nickname="Peregrine Godwit"),
        customer(12, "NL", PEOPLE[names[0]], country=names[2], customer_tier=names[1]),
        customer(12, "gold", "CUST012", customer_tier=PEOPLE[names[0]], signup_date=names[0], country="2024-01-01"),
        {**customer(0, PEOPLE[names[1]], None, country="2024-01-01", customer_tier=None), "customer_id": names[1]},
        customer(17, f"  {names[2]} ", "  "),
        customer(17, names[2], PEOPLE[names[2]], signup_date="2999-01-01"),
        "Balthazar Whimbrel",
    ]
    yield "a.json", json.dumps(good + bad, ensure_ascii=False).encode()
    lines = [json.dumps(customer(20, names[1], PEOPLE[names[1]])), '{"name": "Peregrine Godwit", "email": ', "[]"]
    yield "b.jsonl", "\n".join(lines).encode() + b'\n{"name": "Balthazar Whimbrel \xff\xfe"}\n'


REFUSED = {
    "retyped": "".join(
        json.dumps(customer(number, name, email, signup_date=name)) + "\n"
        for number, (name, email) in enumerate(PEOPLE.items())
    ),
    "renamed": "".join(json.dumps({"full_name": name, "mail": email}) + "\n" for name, email in PEOPLE.items()),
    "not_json": "name,email\n" + "".join(f"{name},{email}\n" for name, email in PEOPLE.items()),
    "cut_short": json.dumps([customer(n, name, email) for n, (name, email) in enumerate(PEOPLE.items())] * 40)[:-30],
}


def needles() -> dict[str, re.Pattern[bytes]]:
    """What must not be found, by what it is: values, their parts, and what could be turned back into them."""
    values = {*PEOPLE, *PEOPLE.values(), *STRAY}
    words = {word for value in values for word in re.split(r"[^\w]+", value) if len(word) > 4} - {"example"}
    texts = values | words
    forms: dict[str, set[bytes]] = {}
    for text in sorted(texts):
        found = forms.setdefault(text, set())
        for variant in {text, text.lower(), text.upper(), text.strip()}:
            plain = variant.encode()
            found |= {plain, variant.encode("utf-16-le"), plain[::-1], plain.hex().encode(), quote(variant).encode()}
            found.add(json.dumps(variant)[1:-1].encode())
            # The middle of a Base64 text is the same wherever it begins in another, at one of three offsets.
            found |= {base64.b64encode(b"\0" * shift + plain)[4:-4] for shift in range(3) if len(plain) > 8}
            if text in values:
                found |= {hashlib.new(kind, plain).hexdigest().encode() for kind in ("md5", "sha1", "sha256")}
    forms["the key"] = {KEY.encode(), base64.b64encode(KEY.encode())[:-4]}
    return {
        name: re.compile(b"|".join(re.escape(form) for form in sorted(found) if len(form) > 4), re.IGNORECASE)
        for name, found in forms.items()
    }


NEEDLES = needles()


def found_in(content: bytes) -> list[str]:
    return [name for name, pattern in NEEDLES.items() if pattern.search(content)]


def written(worker: Worker) -> Iterator[tuple[str, bytes]]:
    """Everything in the buckets but what was sent, Parquet both as it is and as text; what was left on the disk."""
    for bucket in ("processed", "artifacts"):
        for key in worker.keys(bucket):
            if key.startswith("code/"):
                continue
            content = worker.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            yield f"{bucket}/{key}", content
            if key.endswith(".parquet") and "customers" in key:  # other tests damage files of other datasets
                rows = pq.read_table(io.BytesIO(content))
                yield f"{bucket}/{key} as text", f"{rows.schema.metadata} {rows.to_pylist()}".encode()
    for file in worker.data.rglob("_manifest.json"):
        yield str(file), file.read_bytes()
    for file in (worker.home / "scratch").rglob("*"):
        if file.is_file():
            yield str(file), file.read_bytes()


@pytest.fixture(scope="module")
def customers_worker(worker: Worker, aws: Callable[..., Any]) -> Worker:
    secret = aws("secretsmanager").create_secret(Name="personal-data-key", SecretString=KEY)
    return worker.of("customers", clean={"personal-key": secret["ARN"]})


def test_the_search_finds_what_it_should() -> None:
    name, email = "Věroslava Čápková", PEOPLE["Věroslava Čápková"]
    encoded = base64.b64encode(f'{{"x": "{name}", "{email}"}}'.encode())
    for content in (name.encode(), email.upper().encode(), json.dumps(name).encode(), encoded, b"...slava@frobnicate"):
        assert found_in(content), content
    assert not found_in(b"Data Docs: 12 expectations, name, email, example")


def test_no_byte_that_the_jobs_write_holds_a_personal_value(customers_worker: Worker) -> None:
    worker, run = customers_worker, "people"
    for name, content in customers():
        worker.upload(DS, content, name)
    said = []
    for program, job in (("python", "stage_raw"), ("spark-submit", "clean"), ("spark-submit", "validate")):
        code, output, errors = worker.said(program, job, DS, run)
        said.append((job, code))
        assert found_in(f"{output}{errors}".encode()) == [], f"{output}{errors}"
    assert said[:2] == [("stage_raw", 0), ("clean", 0)]

    cleaned = worker.manifest("clean", DS, run)
    assert cleaned["rows"]["read"] == cleaned["rows"]["published"] + cleaned["rows"]["quarantined"] + 1
    published = worker.table(cleaned["output"]["files"]).to_pylist()
    hashes = {row["customer_id"]: (row["name"], row["email"]) for row in published}
    name, email = next(iter(PEOPLE.items()))
    right = [hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest() for text in (name, email)]
    assert hashes["CUST000"] == tuple(right)
    bad = worker.table(cleaned["quarantine"]["files"]).to_pylist()
    assert {row["rule"] for row in bad} == {
        *("customer_tier_not_allowed", "customer_id_pattern", "signup_date_invalid"),
        *("email_pattern", "malformed_record", "not_text"),
    }
    assert any(right[0] in row["raw_row"] for row in bad)

    places = dict(written(worker))
    assert {place.split("/")[1] for place in places if place.startswith("artifacts/")} == {"manifests", "data-docs"}
    assert {place: found for place, content in places.items() if (found := found_in(content))} == {}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_file_is_explained_without_its_values(customers_worker: Worker, kind: str) -> None:
    worker, ds = customers_worker, f"2025-06-{10 + list(REFUSED).index(kind)}"
    worker.upload(ds, REFUSED[kind], "people.jsonl" if kind in ("retyped", "renamed") else "people.json")
    code, output, errors = worker.said("python", "stage_raw", ds, kind)
    if code == 0:
        code, more, errors = worker.said("spark-submit", "clean", ds, kind)
        output += more
    assert code == 65, errors
    assert errors.rstrip().rpartition("\n")[2].startswith("ERROR ")
    assert found_in(f"{output}{errors}".encode()) == [], f"{output}{errors}"
    assert {place: found for place, content in written(worker) if (found := found_in(content))} == {}
