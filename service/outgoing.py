"""Requests to addresses that a client has named: never to a machine inside, never for long, never much.

The name is resolved once, every address is checked, and one of those is connected to: a second look at the name could
be answered otherwise. Redirects are not followed.
"""

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import httpcore2
import httpx2

from service.clock import monotonic_s
from service.store.deliveries import Outcome

TIMEOUT_S = 5.0
MOST_BYTES = 64 * 1024
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotAllowed(OSError):
    """The address is not of the open Internet, nor named in the settings."""


class Poster:
    """Posts JSON, from any thread."""

    def __init__(self, allowed_hosts: frozenset[str], *, timeout_s: float = TIMEOUT_S) -> None:
        self._allowed_hosts, self._timeout_s = allowed_hosts, timeout_s
        self._tls = httpx2.create_ssl_context()

    def post(self, url: str, body: str, headers: Mapping[str, str]) -> Outcome:
        """Post once; whatever goes wrong on the way is told, never raised."""
        wire = _Wire(self._allowed_hosts, _Budget(monotonic_s() + self._timeout_s))
        said = {"Content-Type": "application/json", "User-Agent": "Ganymede", "Connection": "close", **headers}
        try:
            with (
                httpcore2.ConnectionPool(ssl_context=self._tls, network_backend=wire) as pool,
                pool.stream("POST", url, headers=[*said.items()], content=body.encode()) as answer,
            ):
                return _judge(answer.status)  # a body that would follow is not read
        except NotAllowed as error:
            return Outcome(None, str(error))
        except httpcore2.TimeoutException:
            return Outcome(None, f"There was no answer within {self._timeout_s:g} s.")
        except (OSError, UnicodeError, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            return Outcome(None, f"The receiver could not be reached: {error}.")


def may_reach(host: str, address: str, allowed_hosts: frozenset[str]) -> bool:
    """Tell whether an address that a host name stands for may be connected to."""
    return host.lower() in allowed_hosts or is_open(ipaddress.ip_address(address))


def is_open(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is one machine of the open Internet, whatever wraps an IPv4 address into an IPv6 one."""
    inner = _wrapped(address) or address
    is_special = inner.is_multicast or inner.is_reserved or getattr(inner, "is_site_local", False)
    return inner.is_global and not is_special


def _wrapped(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _judge(status_code: int) -> Outcome:
    if 200 <= status_code < 300:
        return Outcome(status_code, None)
    hint = " Redirects are not followed." if 300 <= status_code < 400 else ""
    return Outcome(status_code, f"The receiver answered {status_code}.{hint}")


class _Budget:
    """The time and the bytes that one request may use in all."""

    def __init__(self, until_s: float) -> None:
        self._until_s, self._bytes = until_s, MOST_BYTES

    @property
    def left_s(self) -> float:
        left_s = self._until_s - monotonic_s()
        if left_s <= 0:
            raise httpcore2.ReadTimeout
        return left_s

    def spend(self, data: bytes) -> bytes:
        self._bytes -= len(data)
        if self._bytes < 0:
            raise httpcore2.ReadError(f"the answer begins with more than {MOST_BYTES} bytes")
        return data


class _Wire(httpcore2.NetworkBackend):
    """Connects to checked addresses alone."""

    def __init__(self, allowed_hosts: frozenset[str], budget: _Budget) -> None:
        self._allowed_hosts, self._budget = allowed_hosts, budget

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if any(not may_reach(host, address, self._allowed_hosts) for address in addresses):
            raise NotAllowed(f"{host} stands for an address that is not on the open Internet; nothing was sent.")
        return _Stream(self._connect(addresses, port), self._budget)

    def _connect(self, addresses: list[str], port: int) -> httpcore2.NetworkStream:
        *others, last = addresses
        for address in others:
            try:
                return httpcore2.SyncBackend().connect_tcp(address, port, timeout=self._budget.left_s / 2)
            except (httpcore2.NetworkError, httpcore2.TimeoutException):
                continue
        return httpcore2.SyncBackend().connect_tcp(last, port, timeout=self._budget.left_s)


class _Stream(httpcore2.NetworkStream):
    """A connection on which everything together takes no longer than there is time: a drop each second is no answer."""

    def __init__(self, inner: httpcore2.NetworkStream, budget: _Budget) -> None:
        self._inner, self._budget = inner, budget

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._budget.spend(self._inner.read(max_bytes, self._budget.left_s))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._budget.left_s)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._budget.left_s), self._budget)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
