"""Running the server on a socket of its own."""

import logging
import socket

import uvicorn
from fastapi import FastAPI

from passerby.errors import InputError

_AT_ONCE = 256
"""Connections; more are answered that the server is busy."""

_PATIENCE = 10
"""Seconds that requests have to end when the server is stopped."""


def listen(host: str, port: int) -> socket.socket:
    """Open a socket.

    Args:
        host: name or address.
        port: 0 takes a free one.

    Raises:
        InputError: the address is not one of this machine, or the port is taken.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # from now on clients wait for the server instead of being turned away
        sock.listen()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "that is not a name"
        raise InputError(
            f"Cannot listen on {host}, port {port}: {reason}: choose another --host or --port."
        ) from None
    return sock


def run(app: FastAPI, sock: socket.socket, proxy: str | None = None) -> None:
    """Serve until the process is told to stop.

    Args:
        app: the server.
        sock: to listen on.
        proxy: address of a proxy that is believed who its clients are; of anybody else that is
            not believed.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("passerby").setLevel(logging.INFO)
    config = uvicorn.Config(
        app,
        # paths name crops, and addresses people: the audit log holds what has to be known
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=proxy is not None,
        # a socket for both kinds of addresses writes those of IPv4 into IPv6's
        forwarded_allow_ips=None if proxy is None else [proxy, f"::ffff:{proxy}"],
        server_header=False,
        limit_concurrency=_AT_ONCE,
        timeout_graceful_shutdown=_PATIENCE,
    )
    uvicorn.Server(config).run(sockets=[sock])
