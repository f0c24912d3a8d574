"""WebSockets through unpage, with a server and a client that others wrote, in the clear and over TLS."""

import ssl
from pathlib import Path

import pytest
import websockets
from harness.certificates import pair
from harness.echo import running
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import CloseCode
from websockets.sync.client import connect

MESSAGES = 1_000


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
def test_messages_arrive_as_they_were_sent(is_secure: bool, serve, tmp_path: Path):
    """A thousand messages, one of a megabyte and one in fragments, a ping, a subprotocol, the codes of both closes, and a page of another host."""
    made = pair(tmp_path / "pair", "localhost")
    trusting = ssl.create_default_context(cafile=str(made.cert)) if is_secure else None
    listeners = f'[tls]\ncert = "{made.cert}"\nkey = "{made.key}"\n\n' if is_secure else ""
    with running() as port:
        proxy = serve(config=f'{listeners}[[collection]]\npath = "/{{*rest}}"\nupstream = "http://127.0.0.1:{port}"\n')
        address = proxy.url.replace("http", "ws", 1).replace("127.0.0.1", "localhost") + "/chat"
        with connect(address, ssl=trusting, subprotocols=["chat"], compression="deflate") as socket:
            assert socket.subprotocol == "chat"
            assert socket.ping().wait(20)
            for number in range(MESSAGES):
                socket.send(f"message {number}")
            assert [socket.recv(20) for _ in range(MESSAGES)] == [f"message {number}" for number in range(MESSAGES)]
            large = bytes(range(256)) * 4000
            socket.send(large)
            assert socket.recv(20) == large
            socket.send(["in ", "three ", "pieces"])
            assert socket.recv(20) == "in three pieces"
        assert socket.protocol.close_code == CloseCode.NORMAL_CLOSURE
        with connect(address, ssl=trusting, subprotocols=["chat"]) as socket:
            socket.send("close")
            with pytest.raises(websockets.exceptions.ConnectionClosedOK):
                socket.recv(20)
            assert (socket.protocol.close_code, socket.protocol.close_reason) == (CloseCode.GOING_AWAY, "as asked")
        with pytest.raises(InvalidStatus) as refused:
            connect(address, ssl=trusting, subprotocols=["chat"], origin="https://page.example")
        assert refused.value.response.status_code == 403


def test_the_stop_is_seen_as_an_abnormal_end(serve):
    """Without a frame `Close`, which only an end of the peer's own has."""
    with running() as port:
        config = f'[drain]\ngrace = "200ms"\n\n[[collection]]\npath = "/{{*rest}}"\nupstream = "http://127.0.0.1:{port}"\n'
        proxy = serve(config=config)
        with connect(proxy.url.replace("http", "ws", 1), subprotocols=["chat"]) as socket:
            socket.send("before")
            assert socket.recv(20) == "before"
            proxy.child.process.terminate()
            with pytest.raises(ConnectionClosedError):
                socket.recv(20)
            assert socket.protocol.close_code == CloseCode.ABNORMAL_CLOSURE
        assert proxy.child.process.wait(20) == 0
        assert "WebSockets cut: 1" in proxy.child.said()
