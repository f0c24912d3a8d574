"""Children of a real server: the records of every collection of every bucket of Kinto as one stream, also after `kill -9`."""

import json
import signal
import subprocess

import pytest
import requests
from harness.client import STREAM
from harness.process import until
from harness.proxy import binary

AUTH = ("reader", "secret")
FIELD = "Authorization: Basic cmVhZGVyOnNlY3JldA=="
#: Number of records of each collection of the bucket that these tests make.
STOCK = {"empty": 0, "one": 1, "full": 20, "many": 205}
ALL = "/buckets/*/collections/*/records"


@pytest.fixture(scope="module")
def kinto(upstreams) -> str:
    """The API's root, with a second bucket."""
    root = upstreams.get("kinto").url + "/v1"
    with requests.Session() as session:
        session.auth = AUTH
        for path in ("/buckets/tracker", *(f"/buckets/tracker/collections/{name}" for name in STOCK)):
            session.put(root + path).raise_for_status()
        for name, count in STOCK.items():
            for number in range(count):
                body = {"data": {"number": number, "big": 12345678901234567890}}
                path = f"/buckets/tracker/collections/{name}/records/{name}-{number}"
                session.put(root + path, json=body).raise_for_status()
    return root


def configuration(root: str, more: str = "") -> str:
    text = f'[upstream.kinto]\nurl = "{root}"\n{more}\n'
    for path, parent in (
        ("/buckets", ""),
        ("/buckets/{bucket}/collections", 'parent = { collection = "/buckets", key = "id" }'),
        (
            "/buckets/{bucket}/collections/{collection}/records",
            'parent = { collection = "/buckets/{bucket}/collections", key = "id", with = { _bucket = "bucket", _in = "collection" } }',
        ),
    ):
        text += (
            f'\n[[collection]]\npath = "{path}"\nupstream = "kinto"\nrecords = "data"\nkey = "id"\n'
            f'page_size = {{ param = "_limit", value = 100 }}\n'
            f'pagination = {{ type = "next_url", next = "header:Next-Page" }}\n{parent}\n'
        )
    return text


def listed(root: str, path: str) -> list[dict]:
    """All records of a list, by a client of its own."""
    records, url = [], f"{root}{path}?_limit=100"
    while url:
        answer = requests.get(url, auth=AUTH)
        answer.raise_for_status()
        records += answer.json()["data"]
        url = answer.headers.get("Next-Page")
    return records


def expected(root: str) -> list[dict]:
    return [
        {"_bucket": bucket["id"], "_in": collection["id"], **record}
        for bucket in listed(root, "/buckets")
        for collection in listed(root, f"/buckets/{bucket['id']}/collections")
        for record in listed(root, f"/buckets/{bucket['id']}/collections/{collection['id']}/records")
    ]


def records(lines: bytes) -> list[dict]:
    return [json.loads(line) for line in lines.splitlines()]


def test_serve(kinto, serve):
    proxy = serve(config=configuration(kinto))
    answer = requests.get(proxy.url + ALL, headers={"Accept": f"{STREAM};end=marker"}, auth=AUTH)
    answer.raise_for_status()
    wanted = expected(kinto)
    assert len({record["_in"] for record in wanted}) == len(STOCK), "the empty list has no record, and `orders` has"
    *lines, marker = records(answer.content)
    assert lines == wanted
    lists = marker["_unpage"]["verdict"]["lists"]
    assert (lists["parents"], lists["gone"]) == (1 + len(STOCK), 0)
    # Kinto's pages say so, each.
    assert answer.headers["Cache-Control"] == "no-store, no-transform"
    one = requests.get(proxy.url + ALL.replace("*", "tracker", 1), headers={"Accept": STREAM}, auth=AUTH)
    assert records(one.content) == [record for record in wanted if record["_bucket"] == "tracker"]


def test_fetch_after_kills(kinto, tmp_path):
    config, output = tmp_path / "unpage.toml", tmp_path / "records.ndjson"
    # Slow enough that a kill meets it at work.
    config.write_text(configuration(kinto, 'rate = "40/s"\nwidth = 2'))
    command = [str(binary()), "fetch", "--config", str(config), ALL, "-H", FIELD, "--output", str(output)]
    part, kills = output.with_name("records.ndjson.part"), 0
    for length in (1, 20_000, 150_000):
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(
            lambda: child.poll() is not None or (part.exists() and part.stat().st_size >= length),
            f"{length} bytes of the file",
        )
        kills += child.poll() is None
        child.send_signal(signal.SIGKILL)
        child.wait()
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert kills > 0, "each attempt ended before it could be killed"
    assert records(output.read_bytes()) == expected(kinto)
