"""Tidings reach who waits for them, and wait for nobody."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from service.tidings import Listener, Teller
from tests.brokers import a_broker
from tests.house import wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path)


@pytest.fixture
def listener(settings: Settings) -> Iterator[Listener]:
    listener = Listener(settings)
    listener.start()
    yield listener
    listener.stop()


def get_through(teller: Teller, order_id: str, told: threading.Event) -> bool:
    """Tell once more; return whether that has come through."""
    teller.tell(order_id)
    return told.wait(0.05)


def test_who_waits_for_an_order_hears_of_it_and_of_no_other(settings: Settings, listener: Listener) -> None:
    teller = Teller(settings)
    with a_broker(settings), listener.expecting("smp_1") as first, listener.expecting("smp_2") as second:
        wait_until(lambda: get_through(teller, "smp_1", first), "tidings")
        assert not second.is_set()

        teller.tell("smp_2")

        assert second.wait(30)
    listener.wake("smp_1")  # for whom nobody waits any more


def test_tidings_come_through_again_when_the_broker_is_back(settings: Settings, listener: Listener) -> None:
    teller = Teller(settings)
    teller.tell("smp_1")
    with a_broker(settings), listener.expecting("smp_1") as told:
        wait_until(lambda: get_through(teller, "smp_1", told), "tidings")

    with a_broker(settings), listener.expecting("smp_2") as told:
        wait_until(lambda: get_through(teller, "smp_2", told), "tidings")


def test_a_frozen_broker_holds_nobody_up(settings: Settings, listener: Listener) -> None:
    teller = Teller(settings)
    with a_broker(settings) as broker, listener.expecting("smp_1") as told:
        wait_until(lambda: get_through(teller, "smp_1", told), "tidings")
        broker.send_signal(signal.SIGSTOP)
        began = time.monotonic()

        for _ in range(100):
            teller.tell("smp_1")

        assert time.monotonic() - began < 5
