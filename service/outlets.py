"""Many connections that one thread sends into, without ever waiting for one of them."""

import selectors
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from socket import socket
from typing import Generic, Self, TypeVar

from service.clock import monotonic_s


@dataclass(eq=False)
class Outlet:
    """A connection that does not block, and what is still to be sent into it."""

    connection: socket
    pending: memoryview = field(default=memoryview(b""), init=False)
    sent_at_s: float = field(default_factory=monotonic_s, init=False)

    @property
    def quiet_s(self) -> float:
        """Seconds since anything was sent."""
        return monotonic_s() - self.sent_at_s


T = TypeVar("T", bound=Outlet)


class Outlets(Generic[T]):
    """The open connections of a thread. One whose other end is closed is closed as soon as that is seen."""

    def __init__(self) -> None:
        self._open: set[T] = set()
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_all()
        self._selector.close()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[T]:
        return iter(self._open)

    def open(self, outlets: Iterable[T]) -> None:
        """Take over connections."""
        for outlet in outlets:
            self._open.add(outlet)
            self._selector.register(outlet.connection, selectors.EVENT_READ, outlet)

    def ready(self) -> list[T]:
        """Return those who have taken all that was sent."""
        return [outlet for outlet in self._open if not outlet.pending]

    def quiet(self, for_s: float) -> list[T]:
        """Return those who have been sent nothing for so long, as there was nothing to send."""
        return [outlet for outlet in self._open if not outlet.pending and outlet.quiet_s > for_s]

    def stuck(self, for_s: float) -> list[T]:
        """Return those who have taken nothing for so long, though there is something to send."""
        return [outlet for outlet in self._open if outlet.pending and outlet.quiet_s > for_s]

    def push(self, outlet: T, data: bytes) -> None:
        """Send data, at once or when the connection takes it. Nothing may be pending."""
        outlet.pending = memoryview(data)
        self._send(outlet)
        if outlet.pending and outlet in self._open:
            self._selector.modify(outlet.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, outlet)

    def serve(self, timeout_s: float) -> None:
        """Wait until connections take more of what is pending or are closed by their other end, and see to them."""
        for key, mask in self._selector.select(timeout_s):
            outlet: T = key.data
            if mask & selectors.EVENT_READ and _is_closed(outlet.connection):
                self.close(outlet)
            elif mask & selectors.EVENT_WRITE:
                self._send(outlet)
                if not outlet.pending and outlet in self._open:
                    self._selector.modify(outlet.connection, selectors.EVENT_READ, outlet)

    def close(self, outlet: T) -> None:
        """Close a connection."""
        self._open.discard(outlet)
        self._selector.unregister(outlet.connection)
        outlet.connection.close()

    def close_all(self) -> None:
        """Close all connections."""
        for outlet in list(self._open):
            self.close(outlet)

    def _send(self, outlet: T) -> None:
        try:
            sent = outlet.connection.send(outlet.pending)
        except BlockingIOError:
            return
        except OSError:  # the other end is gone
            self.close(outlet)
            return
        outlet.pending = outlet.pending[sent:]
        outlet.sent_at_s = monotonic_s()


def _is_closed(connection: socket) -> bool:
    """Tell whether the other end has closed a readable connection; what else it sends means nothing."""
    try:
        return not connection.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True
