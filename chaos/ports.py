"""Addresses for servers that go away and come back."""

import random
import socket

HOST = "127.0.0.1"
_FIXED_PORTS = range(20_000, 30_000)  # below those that the kernel lends to outgoing connections


def free_port() -> int:
    """Return a port that nobody listens on and that stays free while its server is down."""
    while True:
        port = random.choice(_FIXED_PORTS)
        with socket.socket() as attempt:
            if attempt.connect_ex((HOST, port)) != 0:
                return port
