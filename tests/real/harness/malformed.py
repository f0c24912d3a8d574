"""Raw requests that are wrong, or that one server understands otherwise than another. `/N` stands for a path of its own,
`EVIL` for what must reach no upstream."""

EVIL = "evil"
#: A second request, which is smuggled where a body ends earlier for one server than for the other.
SMUGGLED = "GET /evil HTTP/1.1\r\nHost: evil.test\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
HOST = "Host: HOST\r\n"


def get(fields: str = "", *, target: str = "/N", version: str = "HTTP/1.1", host: str = HOST) -> str:
    return f"GET {target} {version}\r\n{host}{fields}\r\n"


def post(fields: str, body: str, version: str = "HTTP/1.1") -> str:
    return f"POST /N {version}\r\n{HOST}{fields}\r\n{body}"


def length(*values: str) -> str:
    return "".join(f"Content-Length: {value}\r\n" for value in values)


REQUESTS: dict[str, str | bytes] = {
    # Where the body ends.
    "length and chunked": post(length("6") + CHUNKED, "0\r\n\r\n" + SMUGGLED),
    "chunked and length": post(CHUNKED + length("6"), "0\r\n\r\n" + SMUGGLED),
    "length zero and chunked": post(length("0") + CHUNKED, f"{len(SMUGGLED):x}\r\n{SMUGGLED}\r\n0\r\n\r\n"),
    "two lengths": post(length("0", str(len(SMUGGLED))), SMUGGLED),
    "two equal lengths": post(length("4", "4"), "body" + SMUGGLED),
    "a list of lengths": post(length("0, 44"), SMUGGLED),
    "a list of equal lengths": post(length("4, 4"), "body" + SMUGGLED),
    "length with a plus": post(length("+4"), "body" + SMUGGLED),
    "negative length": post(length("-1"), SMUGGLED),
    "hexadecimal length": post(length("0x4"), "body" + SMUGGLED),
    "length with a space": post(length("4 4"), "body" + SMUGGLED),
    "length beyond 64 bits": post(length("18446744073709551620"), "body" + SMUGGLED),
    "empty length": post(length(""), SMUGGLED),
    "length with a space before the colon": post(f"Content-Length : {len(SMUGGLED)}\r\n", SMUGGLED),
    "chunked with a space before the colon": post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n" + SMUGGLED),
    "chunked twice": post(CHUNKED + CHUNKED, "0\r\n\r\n" + SMUGGLED),
    "chunked twice in a list": post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n" + SMUGGLED),
    "gzip, chunked": post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
    "chunked, gzip": post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n" + SMUGGLED),
    "identity, chunked": post("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n" + SMUGGLED),
    "identity": post("Transfer-Encoding: identity\r\n" + length("4"), "body" + SMUGGLED),
    "xchunked": post("Transfer-Encoding: xchunked\r\n" + length("4"), "body" + SMUGGLED),
    "vertical tab before chunked": post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n" + SMUGGLED),
    "chunked in quotes": post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n" + SMUGGLED),
    "chunked folded": post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n" + SMUGGLED),
    "chunked in HTTP/1.0": post(CHUNKED, "0\r\n\r\n" + SMUGGLED, "HTTP/1.0"),
    "chunk of negative size": post(CHUNKED, "-1\r\n\r\n" + SMUGGLED),
    "chunk beyond 64 bits": post(CHUNKED, "1" + "0" * 16 + "\r\nbody\r\n0\r\n\r\n" + SMUGGLED),
    "chunk of size 0x": post(CHUNKED, "0x4\r\nbody\r\n0\r\n\r\n" + SMUGGLED),
    "chunk with a bare LF": post(CHUNKED, "4\nbody\n0\n\n" + SMUGGLED),
    "chunk longer than its size": post(CHUNKED, "2\r\nbody\r\n0\r\n\r\n" + SMUGGLED),
    "chunk with an extension that has a LF": post(CHUNKED, "4;a\nb\r\nbody\r\n0\r\n\r\n" + SMUGGLED),
    "a trailer that is a Host": post(CHUNKED, "0\r\nHost: evil.test\r\nContent-Length: 44\r\n\r\n"),
    "GET with a body that is a request": get(length(str(len(SMUGGLED)))) + SMUGGLED,
    # The head's lines.
    "bare LF": get().replace("\r\n", "\n"),
    "bare CR": get("X-A: 1\rX-Evil: evil\r\n"),
    "NUL in a value": get("X-A: 1\x00evil\r\n"),
    "folded field": get("X-A: 1\r\n X-Evil: evil\r\n"),
    "space in a name": get("X A: 1\r\n"),
    "empty name": get(": evil\r\n"),
    "line without a colon": get("evil\r\n"),
    "leading space in the first field": get(host=" X-A: evil\r\n" + HOST),
    "leading empty lines": "\r\n\r\n" + get(),
    "two spaces": "GET  /N HTTP/1.1\r\n" + HOST + "\r\n",
    "tabs": "GET\t/N\tHTTP/1.1\r\n" + HOST + "\r\n",
    "space in the path": get(target="/N /evil"),
    "method of odd characters": "G@T /N HTTP/1.1\r\n" + HOST + "\r\n",
    "lower-case version": get(version="http/1.1"),
    "HTTP/2.0 in a line": get(version="HTTP/2.0"),
    "HTTP/1.9": get(version="HTTP/1.9"),
    "HTTP/0.9": "GET /evil\r\n",
    # Where it goes.
    "no Host": get(host=""),
    "two Hosts": get("Host: evil.test\r\n"),
    "two equal Hosts": get(HOST),
    "empty Host": get(host="Host: \r\n"),
    "Host with a path": get(host="Host: evil.test/evil\r\n"),
    "Host with a user": get(host="Host: evil@HOST\r\n"),
    "Host list": get(host="Host: HOST, evil.test\r\n"),
    "absolute form of another host": get(target="http://evil.test/N"),
    "absolute form, another scheme": get(target="ftp://evil.test/N"),
    "authority form": get(target="evil.test:80"),
    "CONNECT": "CONNECT evil.test:443 HTTP/1.1\r\n" + HOST + "\r\n",
    "CONNECT with a path": "CONNECT /N HTTP/1.1\r\n" + HOST + "\r\n" + SMUGGLED,
    "asterisk": get(target="*"),
    "a path that begins with two slashes": get(target="//N"),
    "backslashes": get(target="\\\\evil.test\\N"),
    "fragment": get(target="/N#@evil.test"),
    "NUL in the path": get(target="/N\x00evil"),
    "bytes beyond ASCII in the path": "GET /N\xff\xfe HTTP/1.1\r\n".encode("latin-1") + (HOST + "\r\n").encode(),
    "CRLF in the path, encoded": get(target="/N%0d%0aX-Evil:%20evil"),
    # What belongs to one hop.
    "Connection that names Host": get("Connection: Host, close\r\n"),
    "Connection that names Authorization": get("Connection: Authorization, close\r\nAuthorization: evil\r\n"),
    "Connection that names a field": get("Connection: close, X-Evil\r\nX-Evil: evil\r\n"),
    "Keep-Alive, TE, Trailer": get("Keep-Alive: evil\r\nTE: evil\r\nTrailer: evil\r\nProxy-Connection: evil\r\n"),
    "h2c upgrade": get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: evil\r\n"),
    "Expect of something else": get("Expect: something\r\n"),
    "method override": get("X-HTTP-Method-Override: DELETE\r\n"),
    "method override with underscores": get("X_HTTP_Method_Override: DELETE\r\n"),
    "URL override with underscores": get("X_Original_URL: /evil\r\n"),
    "URL override": get("X-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\n"),
    # Sizes, and other protocols.
    "a field of a megabyte": get("X-A: " + "e" * 1_000_000 + "\r\n"),
    "a path of a megabyte": get(target="/N" + "e" * 1_000_000),
    "five thousand fields": get("".join(f"X-{number}: 1\r\n" for number in range(5000))),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(508),
    "half a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM",
    "a preface, then junk": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
    "binary": bytes(range(256)) * 4,
}

#: What nothing may go upstream of, and no further request of the connection either: 400, or 501 for a coding or method
#: that isn't implemented.
REFUSED = {
    *("length and chunked", "chunked and length", "length zero and chunked", "two lengths", "two equal lengths"),
    *("chunked twice", "chunked twice in a list", "gzip, chunked", "identity, chunked", "bare LF", "no Host"),
    *("two Hosts", "two equal Hosts", "Host with a path", "Host with a user", "Host list", "CONNECT", "CONNECT with a path"),
    *("method override", "method override with underscores"),
}
