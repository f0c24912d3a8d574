"""The FastAPI pages behind starlette-compress, which streams each coding of its own below a path; it says what it coded."""

from fastapi_pages import app as pages
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette_compress import CompressMiddleware

CODINGS = ("zstd", "brotli", "gzip")


def only(coding):
    """The pages in this coding, for clients that accept it."""
    return CompressMiddleware(pages, **{name: name == coding for name in CODINGS})


def told(app):
    """Prints the path and the coding of each answer that has one."""

    async def tell(scope, receive, send):
        async def watch(message):
            if message["type"] == "http.response.start":
                for name, value in message["headers"]:
                    if name.lower() == b"content-encoding":
                        print(f"{scope['path']} came in {value.decode()}", flush=True)
            await send(message)

        await app(scope, receive, watch if scope["type"] == "http" else send)

    return tell


app = told(Starlette(routes=[Mount(f"/{coding}", app=only(coding)) for coding in CODINGS]))
