"""Verdicts as real clients see them: trailers by curl, end markers by Python's own HTTP client."""

import base64
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from harness.client import STREAM, marked
from harness.scripted import BEFORE_FAILURE, PAGES, RECORDS, WHOLE, Fault

DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(WHOLE).digest()).decode()}:"


def fields(head: Path) -> list[tuple[str, str]]:
    """All fields that curl has written, those of the trailer section last."""
    named = (line.split(": ", 1) for line in head.read_text().splitlines())
    return [(name.lower(), value) for name, value in (field for field in named if len(field) == 2)]


@pytest.mark.parametrize("version", ["http1.1", "http2-prior-knowledge"])
@pytest.mark.parametrize("te", [["-H", "TE: trailers"], []], ids=["takes-trailers", "does-not"])
def test_curl_takes_trailers_only_where_it_says_so(version, te, scripted, serve, tmp_path: Path):
    head, file = tmp_path / "head", tmp_path / "orders.ndjson"
    ask = ["-H", f"Accept: {STREAM}", "-H", "Want-Repr-Digest: sha-256=1", *te]
    url = serve(config=scripted().config()).url + "/orders"
    subprocess.run(["curl", "-q", "-sS", f"--{version}", *ask, "-D", head, "-o", file, url], check=True, timeout=60)
    assert file.read_bytes() == WHOLE
    *_, verdict, digest = fields(head)
    if te:
        assert ("trailer", "unpage-verdict, repr-digest") in fields(head)
        assert verdict[0] == "unpage-verdict" and f";records={PAGES * RECORDS};pages={PAGES};" in verdict[1]
        assert digest == ("repr-digest", DIGEST)
    else:
        names = {name for name, _ in fields(head)}
        assert names.isdisjoint({"trailer", "unpage-verdict", "repr-digest"})


def test_an_end_marker_is_the_last_line(scripted, serve):
    body, ended_well = marked(serve(config=scripted().config()).url + "/orders")
    assert ended_well and body.startswith(WHOLE)
    end = json.loads(body[len(WHOLE) :])["_unpage"]
    assert (end["end"], end["verdict"]["records"], end["digest"]) == ("complete", PAGES * RECORDS, DIGEST)


def test_an_end_marker_names_the_failure_of_a_broken_stream(scripted, serve):
    body, ended_well = marked(serve(config=scripted(fault=Fault.REFUSED).config()).url + "/orders")
    assert not ended_well
    # The newest record lacks its last byte, and its line is ended for the marker.
    assert body.startswith(BEFORE_FAILURE[:-2] + b"\n")
    end = json.loads(body[len(BEFORE_FAILURE) - 1 :])["_unpage"]
    assert end["end"] == "broken" and end["message"] and end["hint"]
