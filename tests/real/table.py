"""Every collection of every server: where it is, how it is paginated, and what its server's own store holds."""

import json
import tomllib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from harness.upstream import Upstream


@dataclass(frozen=True)
class Collection:
    """One collection, as the file, the command line and the comparison need it."""

    name: str
    server: str
    #: Path and query of the first page.
    address: str
    #: What the server can't but need: its pages at the size that is asked for.
    pages: int
    #: The inline table that both the file and `--pagination` take.
    pagination: str
    records: str
    key: str | None = "id"
    page_size: tuple[str, int] | None = None
    total: str | None = None
    #: Further lines of the file, for which the command line has no option.
    file_only: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: str | None = None
    #: Which of the server's stores holds it.
    store: str = "orders"
    #: What of the store is in the collection, in its order.
    shaped: Callable[[list[dict]], list] = lambda stored: stored
    #: Whether the server promises an order.
    ordered: bool = True
    identity: Callable[[object], object] = lambda record: record["id"]
    #: The first page for one who knows no configuration, where it isn't `address` with the page size.
    unconfigured: str | None = None
    #: Where `auto` must refuse: what of the collection leaves it without a proof.
    hopeless: str | None = None
    #: Preset that is all of its configuration.
    preset: str | None = None
    #: Options without which the preset does not know the list, as the name of its records.
    beside_preset: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return urlsplit(self.address).path

    @property
    def style(self) -> dict:
        """Arguments of `pagination`."""
        return tomllib.loads(f"pagination = {self.pagination}")["pagination"]

    @property
    def auto_address(self) -> str:
        """Path and query of the first page where nothing is configured that could add to them."""
        if self.unconfigured or not self.page_size or self.method != "GET":
            return self.unconfigured or self.address
        name, size = self.page_size
        return f"{self.address}{'&' if '?' in self.address else '?'}{name}={size}"

    def expected(self, upstream: Upstream) -> list:
        return self.shaped(upstream.stored(self.store))

    def toml(self, upstream: str) -> str:
        """The collection's block in a configuration file."""
        lines = [
            "[[collection]]",
            f'path = "{self.path}"',
            f'upstream = "{upstream}"',
            f"records = {self.records!r}",
            f"pagination = {self.pagination}",
        ]
        if self.key:
            lines.append(f"key = {self.key!r}")
        if self.method != "GET":
            lines.append(f'method = "{self.method}"')
        if self.page_size:
            lines.append(f'page_size = {{ param = "{self.page_size[0]}", value = {self.page_size[1]} }}')
        if self.total:
            lines.append(f'total = "{self.total}"')
        return "\n".join([*lines, self.file_only, ""])

    def options(self) -> list[str]:
        """The same for the command line of `fetch`, without the URL."""
        options = ["--pagination", self.pagination, "--records", self.records]
        if self.key:
            options += ["--key", self.key]
        if self.page_size:
            options += ["--page-size", f"{self.page_size[0]}={self.page_size[1]}"]
        if self.total:
            options += ["--total", self.total]
        return options + self.request_options()

    def request_options(self) -> list[str]:
        """Arguments of the request, without those of the pagination."""
        options = [option for name, value in self.headers.items() for option in ("-H", f"{name}: {value}")]
        if self.method != "GET":
            options += ["--method", self.method]
        if self.body:
            options += ["--data", self.body]
        return options


def by(*fields: str) -> Callable[[list[dict]], list[dict]]:
    return lambda stored: sorted(stored, key=lambda record: [record[field] for field in fields])


COLLECTIONS = [
    # Datasette gives the same next page three times: as a URL, as a token and as a Link.
    Collection(
        name="datasette-next-url",
        server="datasette",
        address="/orders/orders.json?_shape=objects",
        pages=13,
        page_size=("_size", 100),
        records="rows",
        pagination='{ type = "next_url", next = "next_url" }',
        total="filtered_table_rows_count",
    ),
    Collection(
        name="datasette-token",
        server="datasette",
        address="/orders/orders.json?_shape=objects&_size=max",
        pages=2,
        records="$.rows",
        pagination='{ type = "cursor", next = "next", param = "_next" }',
    ),
    Collection(
        name="datasette-link",
        server="datasette",
        address="/orders/orders.json?_shape=array&_size=200",
        pages=7,
        records="$",
        pagination='{ type = "link_header" }',
    ),
    Collection(
        name="datasette-sorted",
        server="datasette",
        address="/orders/orders.json?_shape=objects&_size=200&_sort=customer",
        pages=7,
        records="rows",
        pagination='{ type = "next_url", next = "next_url" }',
        shaped=by("customer", "id"),
    ),
    Collection(
        name="datasette-without-primary-key",
        server="datasette",
        address="/orders/notes.json?_shape=objects&_size=200",
        pages=7,
        records="rows",
        key="rowid",
        pagination='{ type = "next_url", next = "next_url" }',
        store="notes",
        identity=lambda record: record["rowid"],
    ),
    Collection(
        name="datasette-rows-as-arrays",
        server="datasette",
        address="/orders/orders.json?_size=200",
        pages=7,
        records="rows",
        key="$[0]",
        pagination='{ type = "next_url", next = ["absent", "next_url"] }',
        shaped=lambda stored: [list(record.values()) for record in stored],
        identity=lambda record: record[0],
    ),
    Collection(
        name="drf-page-next",
        server="drf",
        address="/page/?page_size=100",
        pages=13,
        records="results",
        pagination='{ type = "next_url", next = "next" }',
        total="count",
    ),
    Collection(
        # No total is configured, so the end is the status that the server has for it.
        name="drf-page-number",
        server="drf",
        address="/page/",
        pages=13,
        page_size=("page_size", 100),
        records="results",
        pagination='{ type = "page", param = "page", end = { status = 404 } }',
    ),
    Collection(
        # 800 are asked for and 500 come.
        name="drf-page-clamped",
        server="drf",
        address="/page/",
        pages=3,
        page_size=("page_size", 800),
        records="results",
        pagination='{ type = "page", param = "page" }',
        total="count",
    ),
    Collection(
        name="drf-offset-next",
        server="drf",
        address="/offset/?limit=200",
        pages=7,
        records="results",
        pagination='{ type = "next_url", next = "next" }',
    ),
    Collection(
        # 800 are asked for and 500 come: an offset that advances by what was asked loses 600 orders.
        name="drf-offset-clamped",
        server="drf",
        address="/offset/",
        pages=3,
        page_size=("limit", 800),
        records="results",
        pagination='{ type = "offset", param = "offset" }',
        total="count",
    ),
    Collection(
        name="drf-cursor",
        server="drf",
        address="/cursor/",
        pages=13,
        records="results",
        pagination='{ type = "next_url", next = "next" }',
        ordered=False,
    ),
    Collection(
        name="drf-cursor-token",
        server="drf",
        address="/cursor/",
        pages=13,
        records="results",
        pagination='{ type = "cursor", next = "next", from_url_param = "cursor", param = "cursor" }',
        ordered=False,
    ),
    Collection(
        name="drf-link",
        server="drf",
        address="/link/?page_size=100",
        pages=13,
        records="$",
        pagination='{ type = "link_header", rel = "next" }',
        preset="link-header",
    ),
    Collection(
        name="json-server-0-link",
        server="json-server-0",
        address="/orders?_page=1&_limit=100",
        pages=13,
        records="$",
        pagination='{ type = "link_header" }',
        total="header:X-Total-Count",
    ),
    Collection(
        # Without `_page` the server sends no Link: a list of 100 that looks whole, but for a count in a header field.
        name="json-server-0-page",
        server="json-server-0",
        address="/orders?_limit=100",
        pages=13,
        records="$",
        pagination='{ type = "page", param = "_page", start = 1, end = "empty_page" }',
        hopeless="100 of 1237 records, and nothing that names the parameter for the others",
    ),
    Collection(
        name="json-server-0-slice",
        server="json-server-0",
        address="/orders",
        unconfigured="/orders?_start=0&_limit=100",
        pages=13,
        page_size=("_limit", 100),
        records="$",
        pagination='{ type = "offset", param = "_start" }',
        total="header:X-Total-Count",
    ),
    Collection(
        # Past the end this server gives the last page again, so that "until an empty page" would never end.
        name="json-server-1-page",
        server="json-server-1",
        address="/orders",
        unconfigured="/orders?_page=1&_per_page=100",
        pages=13,
        page_size=("_per_page", 100),
        records="data",
        pagination='{ type = "page", param = "_page" }',
        total="items",
        file_only='total_pages = "pages"',
    ),
    Collection(
        name="fastapi-page",
        server="fastapi",
        address="/page?size=100",
        pages=13,
        records="items",
        pagination='{ type = "page", param = "page" }',
        total="total",
        file_only='total_pages = "pages"',
    ),
    Collection(
        name="fastapi-offset",
        server="fastapi",
        address="/offset",
        pages=13,
        page_size=("limit", 100),
        records="items",
        pagination='{ type = "offset", param = "offset" }',
        total="total",
    ),
    Collection(
        name="fastapi-cursor",
        server="fastapi",
        address="/cursor?size=100",
        pages=13,
        records="items",
        pagination='{ type = "cursor", next = "next_page", param = "cursor" }',
    ),
    Collection(
        # The links start with a slash: they are relative to the server, not to the request's directory.
        name="fastapi-links",
        server="fastapi",
        address="/links?size=100",
        pages=13,
        records="items",
        pagination='{ type = "next_url", next = "links.next" }',
        total="total",
    ),
    *(
        Collection(
            name=f"coded-{coding}",
            server="coded",
            address=f"/{coding}/cursor?size=100",
            pages=13,
            records="items",
            pagination='{ type = "cursor", next = "next_page", param = "cursor" }',
        )
        for coding in ("zstd", "brotli", "gzip")
    ),
    Collection(
        # Newest change first, unless asked otherwise.
        name="kinto-next-page",
        server="kinto",
        address="/v1/buckets/shop/collections/orders/records?_limit=250",
        pages=5,
        records="data",
        pagination='{ type = "next_url", next = "header:Next-Page" }',
        headers={"Authorization": "Basic cmVhZGVyOnNlY3JldA=="},
        shaped=lambda stored: sorted(stored, key=lambda record: -record["last_modified"]),
    ),
    Collection(
        name="kinto-sorted",
        server="kinto",
        address="/v1/buckets/shop/collections/orders/records?_sort=customer,-id",
        pages=13,
        page_size=("_limit", 100),
        records="data",
        pagination='{ type = "next_url", next = "header:Next-Page" }',
        headers={"Authorization": "Basic cmVhZGVyOnNlY3JldA=="},
        shaped=lambda stored: by("customer")(sorted(stored, key=lambda record: record["id"], reverse=True)),
    ),
]

def resource(order: dict) -> dict:
    """The order as a resource of JSON:API."""
    attributes = {name: value for name, value in order.items() if name != "id"}
    return {"type": "orders", "id": str(order["id"]), "attributes": attributes}


def scim_user(user: dict) -> dict:
    """The user as SCIM wraps it."""
    meta = {"resourceType": "User", "location": f"/scim/v2/Users/{user['id']}"}
    return {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "meta": meta, **user}


# Each of these is configured by a preset, or by `unpage init`, alone: test_init.py.
COLLECTIONS += [
    Collection(
        # The server refuses every other media type.
        name="json-api",
        server="drf",
        address="/jsonapi/orders",
        pages=13,
        records="data",
        pagination='{ type = "next_url", next = "links.next" }',
        total="meta.pagination.count",
        headers={"Accept": "application/vnd.api+json"},
        file_only='accept = "application/vnd.api+json"',
        shaped=lambda stored: [resource(order) for order in stored],
        preset="json-api",
    ),
    Collection(
        # The next URL is relative to the server.
        name="tastypie",
        server="drf",
        address="/tastypie/v1/order/?limit=100",
        pages=13,
        records="objects",
        pagination='{ type = "next_url", next = "meta.next" }',
        total="meta.total_count",
        shaped=lambda stored: [{**order, "resource_uri": f"/tastypie/v1/order/{order['id']}/"} for order in stored],
    ),
    Collection(
        name="ninja",
        server="drf",
        address="/ninja/orders",
        unconfigured="/ninja/orders?limit=100&offset=0",
        pages=13,
        page_size=("limit", 100),
        records="items",
        pagination='{ type = "offset", param = "offset" }',
        total="count",
    ),
    Collection(
        name="feathers",
        server="feathers",
        address="/orders",
        unconfigured="/orders?$limit=100&$skip=0",
        pages=13,
        page_size=("$limit", 100),
        records="data",
        pagination='{ type = "offset", param = "$skip" }',
        total="total",
    ),
    Collection(
        # Numbers count from 1, and past the end the server gives its first page.
        name="scim",
        server="scim",
        address="/scim/v2/Users",
        unconfigured="/scim/v2/Users?count=100&startIndex=1",
        pages=13,
        page_size=("count", 100),
        records="Resources",
        pagination='{ type = "offset", param = "startIndex", start = 1 }',
        total="totalResults",
        shaped=lambda stored: [scim_user(user) for user in stored],
        preset="scim",
    ),
]


# Further ones for test_init.py alone: their styles have collections above, which all tests read.
ALONE = [
    Collection(
        # `$top` is the page size that is asked for, and no page leads on.
        name="odata",
        server="odata",
        address="/orders?$orderby=_id&$count=true",
        unconfigured="/orders?$orderby=_id&$count=true&$top=100&$skip=0",
        pages=13,
        page_size=("$top", 100),
        records="value",
        key="_id",
        pagination='{ type = "offset", param = "$skip" }',
        total='["@odata.count"]',
        identity=lambda record: record["_id"],
    ),
    Collection(
        name="hal",
        server="hal",
        address="/hal/orders?size=100",
        pages=13,
        records="_embedded.orders",
        pagination='{ type = "next_url", next = "_links.next.href" }',
        total="total",
        preset="hal",
        beside_preset=("--records", "_embedded.orders"),
    ),
]


def named(name: str) -> Collection:
    return next(collection for collection in COLLECTIONS if collection.name == name)


# GraphQL: the query is the body of a POST, the cursor one of its variables.
NODE = "id number customer cents note serial weight placed"
CONNECTION = f"edges {{ node {{ {NODE} }} }} pageInfo {{ hasNextPage endCursor }}"
QUERY = f"query ($first: Int, $after: String) {{ orders(first: $first, after: $after) {{ {CONNECTION} }} }}"
JSON = {"Content-Type": "application/json"}


def relay_id(order: dict) -> dict:
    """The order with the opaque id that Relay asks for."""
    return {**order, "id": b64encode(f"Order:{order['id']}".encode()).decode()}


COLLECTIONS += [
    Collection(
        name="graphql-connection",
        server="strawberry",
        address="/graphql",
        pages=13,
        records="data.orders.edges[*].node",
        pagination='{ type = "cursor", next = "data.orders.pageInfo.endCursor", param = "body:/variables/after",'
        ' more = { path = "data.orders.pageInfo.hasNextPage" } }',
        headers=JSON,
        method="POST",
        body=json.dumps({"query": QUERY, "variables": {"first": 100}}),
        preset="graphql",
        shaped=lambda stored: [relay_id(order) for order in stored],
    ),
    Collection(
        # Without the flag the last page's cursor leads to an empty page, whose own is null.
        name="graphql-until-null",
        server="strawberry",
        address="/graphql",
        pages=13,
        page_size=("body:variables.first", 100),
        records="data.orders.edges[*].node",
        pagination='{ type = "cursor", next = "data.orders.pageInfo.endCursor", param = "body:variables.after" }',
        headers=JSON,
        method="POST",
        body=json.dumps({"query": QUERY}),
        shaped=lambda stored: [relay_id(order) for order in stored],
    ),
]


def hit(order: dict) -> dict:
    """The order as a search finds it, with the values that it was sorted by."""
    placed = datetime.fromisoformat(order["placed"]).timestamp()
    envelope = {"_id": order["number"], "_index": "orders", "_score": None}
    return {**envelope, "_source": order, "sort": [int(placed * 1000), order["id"]]}


# OpenSearch: the last hit's `sort` is the next request's `search_after`.
SORT = {"sort": [{"placed": "asc"}, {"id": "asc"}], "track_total_hits": True}

COLLECTIONS += [
    Collection(
        name="opensearch-search-after",
        server="osmem",
        address="/orders/_search",
        pages=13,
        page_size=("body:size", 100),
        records="hits.hits",
        key="_id",
        pagination='{ type = "keyset", key = "sort", param = "body:search_after" }',
        total="hits.total.value",
        headers=JSON,
        method="POST",
        body=json.dumps(SORT),
        file_only='error_path = "_shards.failures"',
        shaped=lambda stored: [hit(order) for order in stored],
        identity=lambda record: record["_id"],
        hopeless="ten hits of 1237, and nothing that says how to go on",
    ),
    Collection(
        # The key from the record's own fields; seven orders share each instant.
        name="opensearch-sources",
        server="osmem",
        address="/orders/_search",
        pages=13,
        page_size=("body:size", 100),
        records="hits.hits[*]._source",
        pagination='{ type = "keyset", key = ["placed", "id"], param = "body:/search_after", end = "empty_page" }',
        headers=JSON,
        method="POST",
        body=json.dumps(SORT),
        hopeless="ten hits of 1237, and nothing that says how to go on",
    ),
]

# DynamoDB: the operation is a header field, the token an object in the body of a POST.
SCAN = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20240101/us-east-1/dynamodb/aws4_request, SignedHeaders=host,"
    " Signature=moto-checks-none",
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "DynamoDB_20120810.Scan",
}

COLLECTIONS += [
    Collection(
        name="dynamodb-scan",
        server="dynamodb",
        address="/",
        pages=13,
        page_size=("body:Limit", 100),
        records="Items",
        key="number.S",
        pagination='{ type = "cursor", next = "LastEvaluatedKey", param = "body:ExclusiveStartKey" }',
        headers=SCAN,
        method="POST",
        body='{"TableName":"orders"}',
        ordered=False,
        identity=lambda record: record["number"]["S"],
        hopeless="without a Limit the table comes in one page, and nothing in it says that there is no other",
    ),
    Collection(
        # The filter is applied after the limit: the first nine pages are empty and yet not the end.
        name="dynamodb-empty-pages",
        server="dynamodb",
        address="/",
        pages=13,
        records="Items",
        key="number.S",
        pagination='{ type = "cursor", next = "LastEvaluatedKey", param = "body:ExclusiveStartKey" }',
        headers=SCAN,
        method="POST",
        body='{"TableName":"orders","Limit":100,"FilterExpression":"id > :id",'
        '"ExpressionAttributeValues":{":id":{"N":"950"}}}',
        shaped=lambda stored: [record for record in stored if int(record["id"]["N"]) > 950],
        ordered=False,
        identity=lambda record: record["number"]["S"],
        hopeless="a POST whose first pages are empty: nothing shows that a token arrived where it was put",
    ),
]
