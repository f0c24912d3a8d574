"""Kinto over its memory store: filled through its own API in process, dumped from the store, then served by waitress.

    kinto_records.py PORT ORDERS_JSON STORED_JSON

The memory store lives as long as its process, so the one that fills it must also serve it."""

import json
import sys
from pathlib import Path

import httpx
import kinto
import waitress

SETTINGS = {
    "kinto.storage_backend": "kinto.core.storage.memory",
    "kinto.permission_backend": "kinto.core.permission.memory",
    "kinto.cache_backend": "kinto.core.cache.memory",
    "kinto.bucket_create_principals": "system.Authenticated",
    "kinto.batch_max_requests": "250",
    "kinto.paginate_by": "1000",
    "kinto.userid_hmac_secret": "for tests only",
    "multiauth.policies": "basicauth",
    "multiauth.policy.basicauth.use": "kinto.core.authentication.BasicAuthAuthenticationPolicy",
}
COLLECTION = "/buckets/shop/collections/orders"


def fill(app, orders: list[dict]) -> None:
    """Makes the bucket, the collection and its records, in batches."""
    with httpx.Client(
        transport=httpx.WSGITransport(app=app), base_url="http://kinto.test", auth=("reader", "secret"), timeout=60
    ) as client:
        for path in ("/buckets/shop", COLLECTION):
            client.put("/v1" + path).raise_for_status()
        for first in range(0, len(orders), 250):
            requests = [
                {"method": "PUT", "path": f"{COLLECTION}/records/{order['number']}", "body": {"data": order}}
                for order in orders[first : first + 250]
            ]
            answer = client.post("/v1/batch", json={"requests": requests})
            answer.raise_for_status()
            assert all(each["status"] == 201 for each in answer.json()["responses"]), answer.text


def logged(app):
    """Says which requests came, as every other server does."""

    def logging_app(environ, start_response):
        print(f'"{environ["REQUEST_METHOD"]} {environ["PATH_INFO"]}?{environ["QUERY_STRING"]}"', flush=True)
        return app(environ, start_response)

    return logging_app


def main(port: str, orders_path: str, stored_path: str) -> None:
    app = kinto.main({}, **SETTINGS)
    orders = json.loads(Path(orders_path).read_text())
    fill(app, [{**order, "id": order["number"]} for order in orders])
    stored = app.registry.storage.list_all(resource_name="record", parent_id=COLLECTION)
    Path(stored_path).write_text(json.dumps(stored))
    waitress.serve(logged(app), host="127.0.0.1", port=int(port), threads=4)


main(*sys.argv[1:])
