"""Follows `next` from page to page with aiohttp, and writes the records to stdout: aiohttp_loop.py URL json|orjson"""

import asyncio
import json
import sys
from urllib.parse import urljoin

import aiohttp
import orjson


def dumps(record):
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


async def main(url, library):
    read, write = (orjson.loads, orjson.dumps) if library == "orjson" else (json.loads, dumps)
    out = sys.stdout.buffer
    async with aiohttp.ClientSession() as session:
        while url:
            async with session.get(url) as response:
                response.raise_for_status()
                page = read(await response.read())
            out.writelines(write(record) + b"\n" for record in page["data"])
            url = page["next"] and urljoin(url, page["next"])


asyncio.run(main(*sys.argv[1:]))
