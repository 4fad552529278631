"""One thread sends into many connections and waits for none."""

from collections.abc import Iterator
from contextlib import ExitStack
from socket import socket, socketpair

import pytest

from service.outlets import Outlet, Outlets

LARGE = bytes(range(256)) * 20_000  # more than a connection takes at once


@pytest.fixture
def outlets() -> Iterator[Outlets[Outlet]]:
    with Outlets[Outlet]() as outlets:
        yield outlets


@pytest.fixture
def far_ends() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(outlets: Outlets[Outlet], far_ends: ExitStack) -> tuple[Outlet, socket]:
    near, far = socketpair()
    near.setblocking(False)
    outlet = Outlet(near)
    outlets.open([outlet])
    return outlet, far_ends.enter_context(far)


def take(far: socket, outlets: Outlets[Outlet], size: int) -> bytes:
    """Read so many bytes while the thread that sends goes on."""
    taken = b""
    while len(taken) < size:
        taken += far.recv(65_536)
        outlets.serve(0)
    return taken


def test_who_is_slow_gets_everything_and_holds_nobody_up(outlets: Outlets[Outlet], far_ends: ExitStack) -> None:
    slow, slow_end = connect(outlets, far_ends)
    quick, quick_end = connect(outlets, far_ends)

    outlets.push(slow, LARGE)
    outlets.push(quick, b"news")

    assert quick_end.recv(100) == b"news"
    assert outlets.ready() == [quick]
    assert take(slow_end, outlets, len(LARGE)) == LARGE
    assert len(outlets.ready()) == 2


def test_an_end_that_is_closed_is_closed_here(outlets: Outlets[Outlet], far_ends: ExitStack) -> None:
    gone, gone_end = connect(outlets, far_ends)
    connect(outlets, far_ends)

    gone_end.close()
    outlets.serve(1)
    assert len(outlets) == 1

    late, late_end = connect(outlets, far_ends)
    late_end.close()
    outlets.push(late, b"news")
    assert len(outlets) == 1
    assert gone.connection.fileno() == late.connection.fileno() == -1


def test_silence_is_told_from_being_stuck(outlets: Outlets[Outlet], far_ends: ExitStack) -> None:
    silent, _ = connect(outlets, far_ends)
    stuck, _ = connect(outlets, far_ends)
    outlets.push(stuck, LARGE)

    assert (outlets.quiet(0), outlets.stuck(0)) == ([silent], [stuck])
    assert (outlets.quiet(60), outlets.stuck(60)) == ([], [])


def test_what_a_watcher_says_is_passed_over(outlets: Outlets[Outlet], far_ends: ExitStack) -> None:
    outlet, far = connect(outlets, far_ends)

    far.sendall(b"GET / HTTP/1.1\r\n\r\n")
    outlets.serve(1)
    outlets.push(outlet, b"news")

    assert far.recv(100) == b"news"
