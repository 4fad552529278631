"""The embedded broker is private and forgets everything; announcing work never waits."""

import os
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from service.broker import TRAIN, Wakeups, broker_url, embedded_broker
from service.settings import Settings
from tests.brokers import a_broker, is_up
from tests.house import wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path)


@pytest.fixture
def broker(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """A running embedded broker."""
    with a_broker(settings) as process:
        wait_until(lambda: is_up(settings), "the broker answers")
        yield process


@pytest.fixture
def wakeups(settings: Settings) -> Iterator[Wakeups]:
    wakeups = Wakeups(settings)
    wakeups.start()
    yield wakeups
    wakeups.stop()


def socket_of(settings: Settings) -> Path:
    return Path(broker_url(settings).removeprefix("redis+socket://"))


def waiting(settings: Settings) -> int:
    with Redis(unix_socket_path=str(socket_of(settings))) as client:
        return int(client.llen(TRAIN))


def test_the_embedded_broker_listens_on_a_private_socket_alone(
    settings: Settings, broker: "subprocess.Popen[bytes]"
) -> None:
    directory = socket_of(settings).parent

    with Redis(unix_socket_path=str(socket_of(settings))) as client:
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("save") == {"save": ""}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert directory.is_relative_to(settings.home)


def test_a_home_with_a_long_name_gets_a_socket_with_a_short_one(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path / ("long" * 40))
    other = Settings(_env_file=None, home=tmp_path / ("longer" * 40))

    assert len(os.fsencode(socket_of(settings))) <= 100
    assert socket_of(settings) != socket_of(other)


def test_a_directory_of_somebody_else_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "broker").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError):
        embedded_broker(settings)


def test_an_announcement_becomes_a_message_that_carries_no_work(
    settings: Settings, broker: "subprocess.Popen[bytes]", wakeups: Wakeups
) -> None:
    wakeups.announce()

    wait_until(lambda: waiting(settings) == 1, "one message")


def test_messages_that_nobody_takes_do_not_pile_up(
    settings: Settings, broker: "subprocess.Popen[bytes]", wakeups: Wakeups
) -> None:
    most = 0
    for _ in range(100):
        wakeups.announce()
        wait_until(lambda: not wakeups._wanted.is_set(), "the announcement is taken")
        most = max(most, waiting(settings))

    assert 0 < most <= 64


def test_announcing_never_waits_while_the_broker_is_away_or_frozen(
    settings: Settings, broker: "subprocess.Popen[bytes]", wakeups: Wakeups
) -> None:
    os.kill(broker.pid, 19)
    began = time.monotonic()
    wakeups.announce()
    frozen_s = time.monotonic() - began
    os.kill(broker.pid, 18)
    broker.kill()
    broker.wait()
    began = time.monotonic()
    wakeups.announce()
    away_s = time.monotonic() - began

    assert max(frozen_s, away_s) < 0.1


def test_announcements_get_through_again_when_the_broker_is_back(settings: Settings, wakeups: Wakeups) -> None:
    wakeups.announce()
    wait_until(lambda: not wakeups._wanted.is_set(), "the announcement is taken")
    process = subprocess.Popen(embedded_broker(settings), stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_up(settings), "the broker answers")

        wakeups.announce()

        wait_until(lambda: waiting(settings) > 0, "a message")
    finally:
        process.kill()
        process.wait()


def test_the_first_announcement_after_a_broker_has_started_anew_gets_through(
    settings: Settings, broker: "subprocess.Popen[bytes]", wakeups: Wakeups
) -> None:
    wakeups.announce()
    wait_until(lambda: waiting(settings) == 1, "a message")
    broker.kill()
    broker.wait()
    another = subprocess.Popen(embedded_broker(settings), stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_up(settings), "the broker answers")

        wakeups.announce()

        wait_until(lambda: waiting(settings) == 1, "a message")
    finally:
        another.kill()
        another.wait()


def test_a_rediss_url_is_spoken_to_in_tls(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = Settings(_env_file=None, home=tmp_path, redis_url=f"rediss://127.0.0.1:{server.getsockname()[1]}/0")
        wakeups = Wakeups(settings)
        wakeups.start()

        wakeups.announce()
        connection, _ = server.accept()
        with connection:
            first = connection.recv(1)

    assert first == b"\x16"  # the handshake of TLS begins so, and no command of Redis
    wakeups.stop()
