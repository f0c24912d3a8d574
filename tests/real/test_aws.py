"""Signatures that moto checks as AWS does: S3's list and DynamoDB's scan, streamed with keys that may read, and refused with others."""

import json

import pytest
import requests
from harness.aws import BUCKET, REGION, TABLE, Aws
from harness.client import STREAM
from harness.proxy import fetch

#: Names that have another spelling in a path, a query and a signature.
NAMES = sorted(f"a b/ü+{number:03}&=~%" for number in range(130))
RECORDS = 90
SIZE = 20

SCAN = f"""
method = "POST"
body = {{ TableName = "{TABLE}" }}
headers = {{ X-Amz-Target = "DynamoDB_20120810.Scan", Content-Type = "application/x-amz-json-1.0" }}
records = "Items"
key = "number.S"
page_size = {{ param = "body:Limit", value = {SIZE} }}
pagination = {{ type = "cursor", next = "LastEvaluatedKey", param = "body:ExclusiveStartKey" }}
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    running = Aws(tmp_path_factory.mktemp("aws"), NAMES, RECORDS)
    yield running
    running.stop()


def keys(aws: Aws, secret: str | None = None) -> dict[str, str]:
    return {"ACCESS_KEY": aws.access_key, "SECRET_KEY": secret or aws.secret_key}


def credentials(service: str, region: str = REGION) -> str:
    secrets = 'access_key = { env = "ACCESS_KEY" }, secret_key = { env = "SECRET_KEY" }'
    return f'{{ aws = {{ service = "{service}", region = "{region}", {secrets} }} }}'


def listed(aws: Aws, query: str, *options: str, environment: dict[str, str] | None = None):
    url = f"{aws.url}/{BUCKET}?list-type=2{query}"
    options = ("--preset", "s3", "--page-size", f"max-keys={SIZE}", "--set", f"credentials={credentials('s3')}", *options)
    return fetch(url, *options, environment=environment or keys(aws))


@pytest.mark.parametrize("query", ["", "&prefix=a+b/", "&prefix=a%20b%2F%C3%BC%2B"])
def test_fetch_lists_a_bucket(aws, query):
    before = aws.requests()
    fetched = listed(aws, query)
    assert fetched.status == 0, fetched.stderr
    assert [json.loads(line)["Key"] for line in fetched.stdout.splitlines()] == NAMES
    assert aws.requests() - before >= len(NAMES) / SIZE
    assert aws.secret_key not in fetched.stderr


def test_serve_lists_a_bucket_and_scans_a_table(aws, serve):
    table = f'[[collection]]\npath = "/orders"\nupstream_path = "/"\nupstream = "{aws.url}"\ncredentials = {credentials("dynamodb")}{SCAN}'
    bucket = (
        f'[[collection]]\npath = "/objects"\nupstream_path = "/{BUCKET}"\nupstream = "{aws.url}"\npreset = "s3"\n'
        f'page_size = {{ value = {SIZE} }}\ncredentials = {credentials("s3")}\n'
    )
    proxy = serve(config=table + bucket, environment=keys(aws))
    objects = requests.get(f"{proxy.url}/objects?list-type=2", headers={"Accept": STREAM}, timeout=60)
    assert [json.loads(line)["Key"] for line in objects.content.splitlines()] == NAMES
    wanted = {f"order {number}" for number in range(RECORDS)}
    items = requests.get(f"{proxy.url}/orders", headers={"Accept": STREAM}, timeout=60)
    assert {json.loads(line)["number"]["S"] for line in items.content.splitlines()} == wanted
    # A page that a client asks for itself, with a body of its own, is signed, too.
    page = requests.post(f"{proxy.url}/orders", json={"TableName": TABLE, "Limit": 7}, timeout=60)
    assert len(page.json()["Items"]) == 7
    said = proxy.child.said()
    assert aws.secret_key not in said and "Signature" not in said


@pytest.mark.parametrize(
    ("secret", "query", "hint"),
    [("wrong", "", "secret_key of credentials.aws"), (None, "other", "policy")],
)
def test_a_refusal_is_the_configurations_fault(aws, secret, query, hint):
    """A wrong secret, and keys that may not do what is asked: the ACL of the bucket."""
    before = aws.requests()
    fetched = listed(aws, "&acl" if query else "", environment=keys(aws, secret))
    assert (fetched.status, fetched.stdout) == (3, b""), fetched.stderr
    assert "fault: configuration" in fetched.stderr and hint in fetched.stderr, fetched.stderr
    assert aws.requests() - before == 1, "a refusal is not repeated"


def test_a_scan_with_a_wrong_secret_is_refused(aws, serve):
    config = f'[[collection]]\npath = "/orders"\nupstream_path = "/"\nupstream = "{aws.url}"\ncredentials = {credentials("dynamodb")}{SCAN}'
    proxy = serve(config=config, environment=keys(aws, "wrong"))
    answer = requests.get(f"{proxy.url}/orders", headers={"Accept": STREAM}, timeout=60)
    assert answer.status_code >= 400 and answer.json()["fault"] == "configuration", answer.text
    assert "credentials.aws" in answer.json()["hint"], answer.text
