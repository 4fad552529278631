"""Requests to addresses that clients name: who may be reached, how long that takes, and how a message is signed."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from chaos.receiver import Receiver, a_receiver
from service.outgoing import Poster, is_open, may_reach
from service.signing import make_secret, sign

LOOPBACK = frozenset({"127.0.0.1"})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


def test_the_signature_is_that_of_the_example_of_standard_webhooks() -> None:
    at = datetime.fromtimestamp(1614265330.7, UTC)

    headers = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_every_part_of_a_message_is_signed() -> None:
    secret, at = make_secret(), datetime.fromtimestamp(1614265330, UTC)
    later = datetime.fromtimestamp(1614265331, UTC)
    variants = [
        (secret, "a", at, "{}"),
        (secret, "b", at, "{}"),
        (secret, "a", later, "{}"),
        (secret, "a", at, "[]"),
        (make_secret(), "a", at, "{}"),
    ]

    signatures = {sign(*variant)["webhook-signature"] for variant in variants}

    assert len(signatures) == len(variants)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001::1",
    ],
)
def test_an_address_inside_is_not_open(address: str) -> None:
    assert not is_open(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_an_address_of_the_internet_is_open(address: str) -> None:
    assert is_open(ipaddress.ip_address(address))


def test_a_host_that_is_named_may_be_reached_whatever_its_address() -> None:
    allowed = frozenset({"hooks.internal"})

    assert may_reach("Hooks.Internal", "10.0.0.1", allowed)
    assert not may_reach("other.internal", "10.0.0.1", allowed)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_nothing_is_sent_to_an_address_inside(receiver: Receiver, name: str) -> None:
    outcome = Poster(frozenset()).post(receiver.url.replace("127.0.0.1", name), "{}", {})

    assert receiver.requests == []
    assert outcome.status_code is None
    assert "not on the open Internet" in str(outcome.error)


def test_a_name_is_resolved_once_so_that_its_second_answer_cannot_lead_inside(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    truth = socket.getaddrinfo

    def resolve(host: str, *args: Any, **options: Any) -> list[Any]:
        asked.append(host)
        if host != "rebinds.example":
            return truth(host, *args, **options)
        return truth("127.0.0.1" if asked.count(host) == 1 else "127.0.0.2", *args, **options)

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    outcome = Poster(frozenset({"rebinds.example"})).post(
        receiver.url.replace("127.0.0.1", "rebinds.example"), "{}", {}
    )

    assert outcome.status_code == 204
    assert asked.count("rebinds.example") == 1


def test_what_is_posted_arrives_as_it_is(receiver: Receiver) -> None:
    outcome = Poster(LOOPBACK).post(receiver.url, '{"a":"ä"}', {"webhook-id": "1"})

    (request,) = receiver.requests
    assert (outcome.status_code, outcome.error) == (204, None)
    assert (request.path, request.body, request.id) == ("/hook", '{"a":"ä"}'.encode(), "1")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == receiver.url.split("/")[2]


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answer, receiver.location = lambda _: 307, receiver.url

    outcome = Poster(LOOPBACK).post(receiver.url, "{}", {})

    assert len(receiver.requests) == 1
    assert outcome.status_code == 307
    assert outcome.error == "The receiver answered 307. Redirects are not followed."


@pytest.fixture
def talker() -> Iterator[tuple[str, list[bytes]]]:
    """The address of somebody who sends these pieces, a twentieth of a second apart, whatever they are told."""
    pieces: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def talk() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            for piece in pieces:
                if over.wait(0.05):
                    return
                try:
                    connection.sendall(piece)
                except OSError:
                    return
            over.wait(10)

    thread = threading.Thread(target=talk)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/", pieces
    over.set()
    thread.join()
    listener.close()


def test_a_receiver_that_says_nothing_is_left_in_time(talker: tuple[str, list[bytes]]) -> None:
    begun = time.monotonic()

    outcome = Poster(LOOPBACK, timeout_s=0.5).post(talker[0], "{}", {})

    assert outcome.error == "There was no answer within 0.5 s."
    assert time.monotonic() - begun < 5


def test_one_that_says_a_little_now_and_then_is_left_as_soon(talker: tuple[str, list[bytes]]) -> None:
    url, pieces = talker
    pieces += [b"HTTP/1.1 200 OK\r\n", *(b"X-%d: y\r\n" % number for number in range(200))]  # for 10 s
    begun = time.monotonic()

    outcome = Poster(LOOPBACK, timeout_s=0.5).post(url, "{}", {})

    assert outcome.error == "There was no answer within 0.5 s."
    assert time.monotonic() - begun < 5


def test_one_that_says_too_much_is_left(talker: tuple[str, list[bytes]]) -> None:
    url, pieces = talker
    pieces += [b"HTTP/1.1 200 OK\r\n", *(b"X-%d: %b\r\n" % (number, b"y" * 8000) for number in range(12))]

    outcome = Poster(LOOPBACK).post(url, "{}", {})

    assert outcome.status_code is None
    assert "more than 65536 bytes" in str(outcome.error) or "header" in str(outcome.error)


def test_an_answer_counts_however_long_the_body_behind_it(talker: tuple[str, list[bytes]]) -> None:
    url, pieces = talker
    pieces += [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", *[b"y" * 8000] * 100]
    begun = time.monotonic()

    outcome = Poster(LOOPBACK).post(url, "{}", {})

    assert (outcome.status_code, outcome.error) == (200, None)
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://nowhere.invalid/", f"http://{'a' * 70}.example/"])
def test_who_is_not_there_is_said_so(url: str) -> None:
    outcome = Poster(LOOPBACK).post(url, "{}", {})

    assert outcome.status_code is None
    assert str(outcome.error).startswith("The receiver could not be reached: ")


def test_a_receiver_without_tls_is_no_receiver_of_https(receiver: Receiver) -> None:
    outcome = Poster(LOOPBACK).post(receiver.url.replace("http:", "https:"), "{}", {})

    assert receiver.requests == []
    assert str(outcome.error).startswith("The receiver could not be reached: ")
