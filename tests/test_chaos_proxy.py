"""The proxy that breaks a network: each mode, with real sockets on both sides."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from chaos.processes import wait_until
from chaos.proxy import Proxy

BLOB = bytes(range(256)) * 4096  # 1 MiB, so that it travels in many pieces


def _echo(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while chunk := connection.recv(65536):
            connection.sendall(chunk)


def _serve(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            threading.Thread(target=_echo, args=[listener.accept()[0]], daemon=True).start()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that sends everything back."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=[listener], daemon=True).start()
    proxy = Proxy(listener.getsockname())
    proxy.start()
    yield proxy
    proxy.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    """A connection by way of the proxy that has been answered once."""
    with connect(proxy) as client:
        assert ask(client, b"hello") == b"hello"
        yield client


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(proxy.address, timeout=5)


def ask(client: socket.socket, question: bytes) -> bytes:
    """Send bytes and return as many, or those that came before the end."""
    client.sendall(question)
    answer = b""
    while len(answer) < len(question) and (chunk := client.recv(65536)):
        answer += chunk
    return answer


def test_bytes_pass_whole_and_in_order(client: socket.socket) -> None:
    answer = b"".join(ask(client, BLOB[start : start + 65536]) for start in range(0, len(BLOB), 65536))

    assert answer == BLOB


def test_the_end_of_a_connection_passes_too(client: socket.socket) -> None:
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)

    assert client.recv(100) == b"last words"
    assert client.recv(100) == b""


def test_refusing_resets_those_present_and_refuses_new_ones(proxy: Proxy, client: socket.socket) -> None:
    proxy.refuse()

    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)


def test_a_healed_proxy_passes_again_at_the_same_address(proxy: Proxy) -> None:
    address = proxy.address

    for _ in range(3):
        proxy.refuse()
        proxy.heal()

    assert proxy.address == address
    with connect(proxy) as client:
        assert ask(client, b"again") == b"again"


def test_a_cut_resets_those_present_and_lets_new_ones_pass(proxy: Proxy, client: socket.socket) -> None:
    proxy.cut()

    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with connect(proxy) as another:
        assert ask(another, b"new") == b"new"


def test_a_black_hole_takes_everything_and_answers_nothing(proxy: Proxy, client: socket.socket) -> None:
    proxy.black_hole()

    with connect(proxy) as another:
        for waiting in (client, another):
            waiting.settimeout(0.2)
            waiting.sendall(b"anybody?")
            with pytest.raises(TimeoutError):
                waiting.recv(100)


def test_connections_that_lost_bytes_are_reset_when_the_black_hole_closes(proxy: Proxy, client: socket.socket) -> None:
    proxy.black_hole()
    with connect(proxy) as another:
        client.sendall(b"lost")
        another.sendall(b"lost")
        wait_until(lambda: proxy.held == 2, "both connections are held", within_s=30)

        proxy.heal()

        for waiting in (client, another):
            with pytest.raises(ConnectionResetError):
                waiting.recv(100)
    with connect(proxy) as fresh:
        assert ask(fresh, b"new") == b"new"


def test_slowness_holds_each_direction_back(proxy: Proxy, client: socket.socket) -> None:
    proxy.slow(0.1)

    began = time.monotonic()
    answer = ask(client, b"slowly")

    assert answer == b"slowly"
    assert 0.2 <= time.monotonic() - began < 1


def test_a_cut_after_some_bytes_lets_exactly_those_pass(proxy: Proxy, client: socket.socket) -> None:
    proxy.cut_after(14)

    client.sendall(b"0123456789")  # ten go to the server, four of its answer come back

    assert client.recv(100) == b"0123"
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with connect(proxy) as another:
        assert ask(another, BLOB[:1000]) == BLOB[:1000]


def test_a_server_that_is_away_looks_like_a_reset() -> None:
    proxy = Proxy(("127.0.0.1", 1))
    proxy.start()

    with pytest.raises(ConnectionResetError), connect(proxy) as client:  # the reset may arrive while it still connects
        client.recv(100)
    proxy.close()
