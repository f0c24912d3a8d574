"""Every client behind every middle box, and lists that break: no broken stream is taken for a whole one both by the
client's own word and by a parser of what it left, in any format. docs/middle-boxes.md has the table, which is measured here."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.boxes import BOXES, Box
from harness.client import CLIENTS, marked, parses
from harness.cuts import Cut, Cuts
from harness.forms import FORMS, ids, query
from harness.process import REPOSITORY
from harness.proxy import Serve
from harness.scripted import RECORDS

LONG = "UNPAGE_LONG" in os.environ
#: Pages of a hundred records: 190 kB, and in the long form also 19 kB and 1.9 MB.
SIZES = [20, 2, 200] if LONG else [20]
DIRECT = "directly"
#: Ways that take HTTP/2 without TLS, which these clients speak.
HTTP2 = {DIRECT, "Caddy 2.6", "Caddy 2.11"}
HTTP2_CLIENTS = {"curl-http2-prior-knowledge", "httpx-http2"}
#: Way on which a stream is refused, since its end couldn't be told from a break.
HTTP1_0 = "nginx, HTTP/1.0"
DOCUMENT = REPOSITORY / "docs" / "middle-boxes.md"


@dataclass
class Cell:
    """One client on one way, and all that it saw there."""

    client: str
    way: str
    #: Ways in which broken streams were noticed: "exit", "parser" where only that, "505" where there was no stream.
    noticed: set[str]
    problems: list[str]


@pytest.fixture(scope="module", params=SIZES, ids=lambda pages: f"{pages}-pages")
def lists(request, tmp_path_factory):
    """Lists that break, and unpage before them."""
    upstream = Cuts(request.param)
    place = tmp_path_factory.mktemp("endings")
    config = place / "unpage.toml"
    # Parquet is made in a file.
    config.write_text(f'listen = "127.0.0.1:0"\n\n[snapshots]\ndir = "{place / "snapshots"}"\n\n{upstream.config()}')
    proxy = Serve(["--config", str(config)], place / "serve.log", {"XDG_CACHE_HOME": str(place)})
    yield upstream, proxy
    proxy.child.stop()
    upstream.stop()
    print(proxy.child.said())


@pytest.fixture(scope="module")
def measured():
    """Cells of the table, as far as they were measured."""
    return {}


@pytest.mark.parametrize("way", [DIRECT, *BOXES])
def test_no_broken_stream_is_taken_for_whole(way, lists, measured, tmp_path: Path):
    upstream, proxy = lists
    box = Box(BOXES[way](), tmp_path / "box", proxy.url) if way in BOXES else None
    clients = [client for client in CLIENTS if way in HTTP2 or client not in HTTP2_CLIENTS]
    try:
        with ThreadPoolExecutor(4) as pool:
            url = box.url if box else proxy.url
            cells = list(pool.map(lambda client: cell(client, way, url, upstream, tmp_path), clients))
    finally:
        if box:
            box.stop()
            print(box.child.said())
    for one in cells:
        measured.setdefault((one.client, way), set()).update(one.noticed)
    assert not [problem for one in cells for problem in one.problems]


@pytest.mark.parametrize("way", ["Caddy 2.6", "Varnish"])
def test_an_end_marker_tells_where_a_box_ends_broken_answers_cleanly(way, lists, tmp_path: Path):
    upstream, proxy = lists
    box = Box(BOXES[way](), tmp_path / "box", proxy.url)
    try:
        for cut in Cut:
            body, ended_well = marked(f"{box.url}/{cut.value}/orders?client=marker-{len(way)}")
            assert upstream.calls[cut.value, f"marker-{len(way)}"]
            *_, line, rest = body.split(b"\n")
            assert ended_well is (cut is Cut.NONE or way == "Caddy 2.6")
            assert rest == b""
            assert json.loads(line)["_unpage"]["end"] == ("complete" if cut is Cut.NONE else "broken"), cut
    finally:
        box.stop()


def test_the_table_of_the_documentation_is_what_was_measured(measured):
    """Cells that another selection of tests left out aren't compared."""
    assert measured
    table = {cell: "/".join(sorted(noticed)) for cell, noticed in measured.items()}
    text = DOCUMENT.read_text()
    start = text.index("| client | directly |")
    end = text.index("\n\n", start)
    if "UPDATE_GOLDEN" in os.environ:
        DOCUMENT.write_text(text[:start] + rendered(table) + text[end:])
        return
    header, _, *rows = [line.strip("| ").split(" | ") for line in text[start:end].splitlines()]
    documented = {(row[0], way): word for row in rows for way, word in zip(header[1:], row[1:], strict=True)}
    assert table == {cell: documented[cell] for cell in table}


def cell(client: str, way: str, url: str, upstream: Cuts, place: Path) -> Cell:
    """Runs a client over each list. The short form has all cuts where no box is in the way."""
    found = Cell(client, way, set(), [])
    name = f"{client}-{list(BOXES).index(way) if way in BOXES else DIRECT}"
    for cut in Cut if LONG or way == DIRECT else [Cut.NONE, Cut.BOUNDARY, Cut.LAST_PAGE]:
        file = place / f"{client}-{cut.value}"
        run, _ = CLIENTS[client]
        outcome = run(f"{url}/{cut.value}/orders?client={name}", file)
        left = file.read_bytes() if file.exists() else b""
        said = f"{client}, {way}, {cut.value}: {outcome.how}, {len(left)} bytes, {outcome.detail.strip()[-200:]}"
        print(said)
        if way == HTTP1_0:
            found.noticed.add("505")
            if outcome.how == "whole" or parses(left) or "505" not in f"{outcome.detail}":
                found.problems.append(f"HTTP/1.0 gets a stream: {said}")
        elif not upstream.calls[cut.value, name]:
            found.problems.append(f"the upstream was never asked: {said}")
        elif cut is Cut.NONE:
            if outcome.how != "whole" or left != upstream.whole:
                found.problems.append(f"a whole stream does not pass: {said}")
        elif outcome.how != "whole":
            found.noticed.add("exit")
        elif parses(left):
            found.problems.append(f"a broken stream is taken for whole: {said}")
        else:
            found.noticed.add("parser")
    if way != HTTP1_0:
        found.problems += other_formats(client, way, upstream, url, place)
    return found


def other_formats(client: str, way: str, upstream: Cuts, url: str, place: Path) -> list[str]:
    """Runs a client over a list that breaks, and directly over a whole one, in another format for each client and way; in the long form in all."""
    turn = list(CLIENTS).index(client) + [DIRECT, *BOXES].index(way)
    problems = []
    for form in FORMS if LONG else [list(FORMS)[turn % len(FORMS)]]:
        name = f"{client}-{turn}-{form}"
        for cut in [Cut.NONE, Cut.BOUNDARY] if LONG or way == DIRECT else [Cut.BOUNDARY]:
            file = place / f"{name}-{cut.value}"
            run, _ = CLIENTS[client]
            outcome = run(f"{url}/{cut.value}/orders?client={name}&{query(form, 'id,text')}", file)
            found = ids(form, file.read_bytes()) if file.exists() else None
            said = f"{client}, {way}, {form}, {cut.value}: {outcome.how}, {len(found or [])} records, {outcome.detail.strip()[-200:]}"
            print(said)
            if not upstream.calls[cut.value, name]:
                problems.append(f"the upstream was never asked: {said}")
            elif cut is Cut.NONE and (outcome.how != "whole" or found != list(range(1, upstream.pages * RECORDS + 1))):
                problems.append(f"a whole stream does not pass: {said}")
            elif cut is not Cut.NONE and outcome.how == "whole" and found is not None:
                problems.append(f"a broken stream is taken for whole: {said}")
    return problems


def rendered(table: dict[tuple[str, str], str]) -> str:
    """The table as Markdown."""
    ways = [DIRECT, *BOXES]
    rows = [["client", *ways], ["---"] * (len(ways) + 1)]
    rows += [[client, *(table.get((client, way), "–") for way in ways)] for client in CLIENTS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
