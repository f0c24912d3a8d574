"""Walks the pages with dlt's RESTClient, and writes the records to stdout: dlt_client.py URL"""

import sys
from urllib.parse import urlsplit

import orjson
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator

url = urlsplit(sys.argv[1])
client = RESTClient(
    base_url=f"{url.scheme}://{url.netloc}", paginator=JSONLinkPaginator(next_url_path="next"), data_selector="data"
)
for page in client.paginate(url.path):
    sys.stdout.buffer.writelines(orjson.dumps(record) + b"\n" for record in page)
