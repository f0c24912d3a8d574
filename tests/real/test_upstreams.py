"""The table against the servers, without unpage: each collection takes several pages, and they are the store's."""

import json
from functools import reduce

import pytest
import requests
from table import ALONE, COLLECTIONS, Collection


@pytest.mark.parametrize("collection", COLLECTIONS + ALONE, ids=lambda collection: collection.name)
def test_the_first_page_is_a_part_of_the_store(collection: Collection, upstreams):
    upstream = upstreams.get(collection.server)
    expected = collection.expected(upstream)
    page = first_page(collection, upstream.url)
    assert collection.pages > 1
    assert len(page) < len(expected)
    if collection.ordered:
        assert page == expected[: len(page)]
    else:
        assert all(record in expected for record in page)
    identities = [collection.identity(record) for record in expected]
    assert len(set(identities)) == len(identities), "an id must tell the records apart, or a test proves nothing"


def first_page(collection: Collection, url: str) -> list:
    """The records of the first page, asked for as the configuration would have it asked for."""
    params, body = {}, json.loads(collection.body) if collection.body else None
    if collection.style["type"] in ("page", "offset"):
        params[collection.style["param"]] = 1 if collection.style["type"] == "page" else 0
    if collection.page_size:
        name, size = collection.page_size
        if name.startswith("body:"):
            *holders, last = name.removeprefix("body:").split(".")
            place = body
            for holder in holders:
                place = place.setdefault(holder, {})
            place[last] = size
        else:
            params[name] = size
    answer = requests.request(
        collection.method,
        url + collection.address,
        params=params,
        data=json.dumps(body) if body else None,
        headers={"Accept": "application/json", **collection.headers},
        timeout=30,
    )
    answer.raise_for_status()
    array, _, inner = collection.records.removeprefix("$").removeprefix(".").partition("[*]")
    records = reduce(dict.__getitem__, filter(None, array.split(".")), answer.json())
    return [record[inner.removeprefix(".")] for record in records] if inner else records
