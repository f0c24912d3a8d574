"""`unpage init` against every real server: the file that it writes streams what the hand-written one does."""

import os
import subprocess
from pathlib import Path

from harness.proxy import binary, fetch
from table import ALONE, COLLECTIONS, Collection, named
from test_collections import PROVABLE, assert_complete, assert_whole, every, stream


def init(*arguments: str) -> subprocess.CompletedProcess:
    """Runs `unpage init` to its end."""
    return subprocess.run(
        [str(binary()), "init", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )


@every(PROVABLE + ALONE)
def test_a_written_file_streams_what_the_hand_written_one_does(collection: Collection, upstreams, tmp_path: Path):
    upstream = upstreams.get(collection.server)
    file = str(tmp_path / "unpage.toml")
    url = upstream.url + collection.auto_address
    written = init(url, *collection.request_options(), "--output", file)
    text = Path(file).read_text() if os.path.exists(file) else ""
    assert written.returncode == 0, written.stderr + text
    for subject in ("order:", "page size:", "addresses:", "total:", "last page:", "conditional requests:", "unique order:", "range filter:"):
        assert f"#   {subject}" in text, text
    checked = subprocess.run([str(binary()), "check", file], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
    fetched = fetch("--config", file, collection.auto_address, *collection.request_options())
    assert_complete(collection, upstream, fetched)


@every([collection for collection in COLLECTIONS + ALONE if collection.preset])
def test_a_preset_is_all_that_is_configured(collection: Collection, upstreams, serve):
    upstream = upstreams.get(collection.server)
    options = collection.request_options() if collection.body else []
    fetched = fetch(upstream.url + collection.address, "--preset", collection.preset, *collection.beside_preset, *options)
    assert_complete(collection, upstream, fetched)
    if collection.beside_preset:
        return
    proxy = serve(upstream=upstream.url, preset=collection.preset)
    assert_whole(collection, upstream, stream(collection, proxy.url + collection.address))


def test_a_document_of_fastapi_becomes_collections_that_stream(upstreams, tmp_path: Path):
    """The OpenAPI document that FastAPI generates, of four paginators."""
    upstream = upstreams.get("fastapi")
    file = str(tmp_path / "unpage.toml")
    written = init("--openapi", f"{upstream.url}/openapi.json", "--output", file)
    assert written.returncode == 0, written.stderr
    for name in ("fastapi-page", "fastapi-offset", "fastapi-cursor", "fastapi-links"):
        collection = named(name)
        assert f'path = "{collection.path}"' in Path(file).read_text()
        assert_complete(collection, upstream, fetch("--config", file, collection.auto_address))
