"""DynamoDB as moto serves it: a table filled by boto3 in process, dumped from the backend, then served over HTTP.

    dynamodb.py PORT ORDERS_JSON STORED_JSON

The tables live as long as their process, so the one that fills them must also serve them."""

import json
import os
import sys
from decimal import Decimal
from pathlib import Path

import boto3
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

REGION = "us-east-1"


def fill(orders: list[dict]) -> None:
    """Makes the table and its items."""
    database = boto3.resource("dynamodb", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    table = database.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "number", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "number", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with table.batch_writer() as batch:
        for order in orders:
            batch.put_item(Item=order)


def main(port: str, orders_path: str, stored_path: str) -> None:
    os.environ["MOTO_PORT"] = port
    # Reset on exit would empty the tables, so the patch of boto3 stays for the life of the process.
    mock_aws().start()
    fill(json.loads(Path(orders_path).read_text(), parse_float=Decimal))
    table = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables["orders"]
    stored = [item.to_json()["Attributes"] for item in table.all_items()]
    Path(stored_path).write_text(json.dumps(stored))
    run_simple("127.0.0.1", int(port), DomainDispatcherApplication(create_backend_app), threaded=True)


main(*sys.argv[1:])
