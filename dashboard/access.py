"""Who may use the dashboard, by the address that it listens on and by the environment.

On loopback it is open, as people expect of Streamlit. Beyond loopback it asks for a token, or is told what
else keeps strangers out; otherwise it does not start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from trainer.schema.hosts import MIN_SECRET, Hosts


class NotSafe(Exception):  # noqa: N818 - what the dashboard would be
    """The dashboard would be open to strangers; the text says what to change."""


class Access(NamedTuple):
    """Who may come in."""

    hosts: Hosts = Hosts()
    """The names by which the dashboard may be called."""
    origins: frozenset[str] = frozenset()
    """Addresses of further sites whose pages may drive it, such as ``https://lab.example``."""
    token: str | None = None
    """What a browser must show once; None asks for nothing."""
    note: str = ""
    """What the log should say of it, if anything."""


def access(
    bind: str | None,
    environment: Mapping[str, str],
    *,
    names: Sequence[str] = (),
    origins: Sequence[str] = (),
) -> Access:
    """What an address to listen on and the environment allow.

    Args:
        bind: the network address that the dashboard listens on; None is every network of the machine.
        environment: may hold UNFOLD_DASHBOARD_TOKEN (or _TOKEN_FILE) and UNFOLD_DASHBOARD_GUARDED_BY.
        names: further names by which browsers may call it.
        origins: further sites whose pages may drive it.

    Raises:
        NotSafe: other machines could use the dashboard, and nothing asks them who they are.
    """
    hosts, token = Hosts.of(bind, names), _token(environment)
    allowed = frozenset(origin.strip().rstrip("/").lower() for origin in origins)
    if not hosts.beyond_loopback:
        return Access(hosts, allowed, token)
    where = f"The dashboard is to listen on {bind or 'every network of this machine'}"
    if token is not None and len(token) < MIN_SECRET:
        raise NotSafe(
            f"{where}, and UNFOLD_DASHBOARD_TOKEN has {len(token)} of the {MIN_SECRET} characters that keep "
            "it from being guessed. Take random ones."
        )
    guard = " ".join(environment.get("UNFOLD_DASHBOARD_GUARDED_BY", "").split())
    if token is None and not guard:
        raise NotSafe(
            f"{where}, where others could start runs and read everything: nothing asks who they are. "
            "Set UNFOLD_DASHBOARD_TOKEN to a long secret, which it then asks for; or listen on this machine "
            "alone, with STREAMLIT_SERVER_ADDRESS=127.0.0.1; or, if something before it keeps strangers "
            "out, say what in UNFOLD_DASHBOARD_GUARDED_BY."
        )
    note = "" if token else f"{where} without a token. What keeps strangers out: {guard}"
    return Access(hosts, allowed, token, note)


def configured(config: Any, environment: Mapping[str, str]) -> Access:
    """The same by Streamlit's own settings, ``streamlit.config``."""
    names = list(config.get_option("server.allowedHosts"))
    if config.is_manually_set("browser.serverAddress"):
        names.append(config.get_option("browser.serverAddress"))
    return access(
        config.get_option("server.address") or None,
        environment,
        names=names,
        origins=config.get_option("server.corsAllowedOrigins"),
    )


def _token(environment: Mapping[str, str]) -> str | None:
    if token := environment.get("UNFOLD_DASHBOARD_TOKEN", "").strip():
        return token
    file = environment.get("UNFOLD_DASHBOARD_TOKEN_FILE", "").strip()
    if not file:
        return None
    try:
        token = Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotSafe(f"UNFOLD_DASHBOARD_TOKEN_FILE is {file!r}: it cannot be read ({error}).") from None
    if not token:
        raise NotSafe(f"UNFOLD_DASHBOARD_TOKEN_FILE is {file!r}: the file is empty. Write the token into it.")
    return token
