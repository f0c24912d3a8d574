"""AWS as moto serves it, with its check of signatures and policies: a bucket, a table, and keys that may read them."""

import json
import sys
from pathlib import Path

import boto3
import requests

from .process import Child, free_port, until

BUCKET, TABLE, REGION = "orders", "orders", "us-east-1"
ACTIONS = ["s3:ListBucket", "dynamodb:Scan"]


class Aws:
    """A running moto at `url`."""

    def __init__(self, place: Path, names: list[str], records: int):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # Nothing is checked until everything is there.
        environment = {"INITIAL_NO_AUTH_ACTION_COUNT": "1000000"}
        command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
        self.child = Child(command, place / "moto.log", environment)
        try:
            until(lambda: not self.child.running() or self.answers(), "moto to answer", seconds=60)
            self.access_key, self.secret_key = self.fill(names, records)
            requests.post(f"{self.url}/moto-api/reset-auth", data=b"0", timeout=30).raise_for_status()
        except Exception as error:
            self.stop()
            raise RuntimeError(f"{error}; it said:\n{self.child.said()}") from error

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/moto-api/", timeout=5).ok
        except requests.RequestException:
            return False

    def fill(self, names: list[str], records: int) -> tuple[str, str]:
        """Makes the bucket and the table; returns keys of a user who may list and scan them, and nothing else."""
        keys = {"endpoint_url": self.url, "region_name": REGION, "aws_access_key_id": "any", "aws_secret_access_key": "any"}
        s3, dynamodb, iam = (boto3.client(name, **keys) for name in ("s3", "dynamodb", "iam"))
        s3.create_bucket(Bucket=BUCKET)
        for name in names:
            s3.put_object(Bucket=BUCKET, Key=name, Body=b"x")
        dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "number", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "number", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for number in range(records):
            dynamodb.put_item(TableName=TABLE, Item={"number": {"S": f"order {number}"}})
        iam.create_user(UserName="reader")
        statement = {"Effect": "Allow", "Action": ACTIONS, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def requests(self) -> int:
        """Number of requests in its log."""
        return self.child.said().count("HTTP/1.1\"")

    def stop(self) -> None:
        self.child.stop()
