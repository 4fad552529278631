"""A TCP proxy that can refuse, cut, swallow and delay, so that a test can break a network that is really there.

One event loop in a thread of its own owns every socket; the modes are switched from any other thread.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from chaos.ports import HOST

_CHUNK_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on with no time left: close() sends RST and drops what is unsent


class _Link:
    """One client's connection and the one to the server behind it, where there is one."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter | None = None) -> None:
        self.ends = [client] if server is None else [client, server]
        self.has_lost_bytes = False
        self.was_reset = asyncio.Event()

    def reset(self) -> None:
        self.was_reset.set()
        for end in [end for end in self.ends if not end.is_closing()]:
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.transport.abort()


class Proxy:
    """Stands before one server under an address that stays the same. Switching the mode returns once it is in force."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: set[_Link] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._address = (HOST, 0)
        self._reserved = self._reserve()
        self._address = (HOST, self._reserved.getsockname()[1])
        self._swallows = False
        self._delay_s = 0.0
        self._bytes_left: int | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect: host and port."""
        return self._address

    @property
    def held(self) -> int:
        """How many connections would be reset by healing, for bytes of theirs are gone."""
        return sum(link.has_lost_bytes for link in [*self._links])

    def start(self) -> None:
        """Begin to pass connections on."""
        self._thread.start()
        self.heal()

    def close(self) -> None:
        """Reset all connections and end the thread."""
        if self._thread.is_alive():
            self._call(self._refuse())
            self._call(self._finish())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._reserved.close()
        self._loop.close()

    def heal(self) -> None:
        """Pass everything on. Connections of which bytes were swallowed are reset, as those bytes are gone."""
        self._call(self._heal())

    def refuse(self) -> None:
        """Reset all connections and refuse new ones."""
        self._call(self._refuse())

    def cut(self) -> None:
        """Reset all connections; new ones pass."""
        self._switch(self._cut)

    def black_hole(self) -> None:
        """Take connections and bytes, and forward neither, until healed."""
        self._switch(self._swallow)

    def slow(self, delay_s: float) -> None:
        """Hold every chunk back for so long, in both directions."""
        self._switch(lambda: setattr(self, "_delay_s", delay_s))

    def cut_after(self, count: int) -> None:
        """Pass so many more bytes, of all connections and both directions together, then cut once."""
        self._switch(lambda: setattr(self, "_bytes_left", count))

    def _switch(self, change: Callable[[], object]) -> None:
        """Make a change on the loop's thread, which alone reads the modes."""

        async def switch() -> None:
            change()

        self._call(switch())

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _heal(self) -> None:
        self._swallows, self._delay_s, self._bytes_left = False, 0.0, None
        for link in [link for link in self._links if link.has_lost_bytes]:
            self._reset(link)
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, sock=self._reserved)

    async def _refuse(self) -> None:
        """Close the listener, but keep the port: a socket that is bound and does not listen refuses."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._reserved = self._reserve()
        self._cut()

    async def _finish(self) -> None:
        pumps = [*self._pumps]
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    def _reserve(self) -> socket.socket:
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(self._address)
        return reserved

    def _cut(self) -> None:
        for link in [*self._links]:
            self._reset(link)

    def _reset(self, link: _Link) -> None:
        self._links.discard(link)
        link.reset()

    def _swallow(self) -> None:
        self._swallows = True
        for link in self._links:
            link.has_lost_bytes = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        if self._swallows:
            await self._hold(reader, writer)
        else:
            await self._connect(reader, writer)

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep a connection that nobody answers until it is reset."""
        link = _Link(writer)
        link.has_lost_bytes = True
        self._links.add(link)
        await self._pump(link, reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:  # the server is away, as its clients shall see
            _Link(writer).reset()
            return
        link = _Link(writer, server_writer)
        link.has_lost_bytes = self._swallows  # the mode may have changed while we connected
        self._links.add(link)
        await asyncio.gather(self._pump(link, reader, server_writer), self._pump(link, server_reader, writer))
        self._links.discard(link)
        for end in link.ends:
            end.close()

    async def _pump(self, link: _Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Carry bytes one way until their end, which is carried too."""
        try:
            while chunk := await source.read(_CHUNK_BYTES):
                await self._pass(link, chunk, sink)
            if link.has_lost_bytes:
                await link.was_reset.wait()  # in a black hole the end of a connection is not seen, either
            if link in self._links and sink.can_write_eof():
                sink.write_eof()
        except OSError:  # one side has reset the connection, so the other shall see that
            if not link.has_lost_bytes:
                self._reset(link)

    async def _pass(self, link: _Link, chunk: bytes, sink: asyncio.StreamWriter) -> None:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        if link.has_lost_bytes:
            return
        if self._bytes_left is None:
            sink.write(chunk)
            await sink.drain()
            return
        sink.write(chunk[: self._bytes_left])
        self._bytes_left -= len(chunk)
        if self._bytes_left <= 0:
            self._bytes_left = None
            self._cut()
