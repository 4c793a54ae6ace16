"""The names by which a server may be called: no page of a stranger reaches it under a name of its own.

A page of evil.example may have its name point to 127.0.0.1 once it is loaded (DNS rebinding); the browser
then takes a server here for a part of that page. Such requests carry ``Host: evil.example``, and are told so.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

MIN_SECRET = 16
"""Characters of a secret that other machines may try: fewer can be guessed."""


def is_loopback(name: str) -> bool:
    """Whether only this machine can be meant: localhost, a name below it, 127.0.0.0/8 or ::1."""
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761: browsers never ask the DNS for those
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def host_name(header: str | None) -> str | None:
    """The name in a Host header or in the part of an address behind //, without port; None if it is none."""
    if not header or any(sign in header for sign in "/?#@\\ \t,"):
        return None
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts.hostname.lower().rstrip(".") if parts.hostname else None


class Hosts(NamedTuple):
    """Which names a server answers to."""

    beyond_loopback: bool = False
    """Whether it listens for other machines as well. Then it also answers to this machine's own name, and to
    any address in numbers: a browser that was given numbers asks no DNS that could lie."""
    names: frozenset[str] = frozenset()
    """More names; ``*.example.org`` stands for all below example.org, ``*`` for any."""

    @classmethod
    def of(cls, bind: str | None, names: Iterable[str] = ()) -> Hosts:
        """For a server that listens on ``bind``; None is every network of the machine."""
        listed = {name.strip().lower().rstrip(".") for name in names} - {""}
        beyond = bind is None or not is_loopback(bind.strip("[]"))
        if beyond:
            listed.add(socket.gethostname().lower())
            listed.add((bind or "").lower())
        return cls(beyond, frozenset(listed - {""}))

    def accept(self, header: str | None) -> bool:
        """Whether a request with this Host header is meant for the server."""
        name = host_name(header)
        if name is None:
            return False
        return is_loopback(name) or (self.beyond_loopback and _is_number(name)) or self._is_listed(name)

    def _is_listed(self, name: str) -> bool:
        below = name.split(".")
        patterns = {name, "*"} | {"*." + ".".join(below[place:]) for place in range(1, len(below))}
        return not patterns.isdisjoint(self.names)


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
