"""Who may use the dashboard, by where it listens and what the environment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.access import NotSafe, access
from trainer.schema.hosts import Hosts, host_name, is_loopback

LONG = "sixteen-or-more-characters"


@pytest.mark.parametrize("bind", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_on_loopback_it_is_open(bind: str) -> None:
    found = access(bind, {})
    assert found.token is None
    assert not found.hosts.beyond_loopback


def test_on_loopback_it_asks_for_a_token_where_one_is_set(tmp_path: Path) -> None:
    """Hosts with several users: a short one is theirs to choose, nobody else can try."""
    assert access("127.0.0.1", {"UNFOLD_DASHBOARD_TOKEN": "a"}).token == "a"
    file = tmp_path / "token"
    file.write_text("from a file\n")
    assert access("127.0.0.1", {"UNFOLD_DASHBOARD_TOKEN_FILE": str(file)}).token == "from a file"
    file.write_text("\n")
    with pytest.raises(NotSafe, match="the file is empty"):
        access("127.0.0.1", {"UNFOLD_DASHBOARD_TOKEN_FILE": str(file)})


@pytest.mark.parametrize("bind", [None, "0.0.0.0", "::", "192.168.1.7", "lab.example"])
def test_beyond_loopback_it_does_not_start_for_everyone(bind: str | None) -> None:
    with pytest.raises(NotSafe, match=r"UNFOLD_DASHBOARD_TOKEN.*127\.0\.0\.1.*UNFOLD_DASHBOARD_GUARDED_BY"):
        access(bind, {})
    with pytest.raises(NotSafe, match="UNFOLD_DASHBOARD_TOKEN has 1 of the 16 "):
        access(bind, {"UNFOLD_DASHBOARD_TOKEN": "a"})
    assert access(bind, {"UNFOLD_DASHBOARD_TOKEN": LONG}).token == LONG


def test_what_else_guards_it_must_be_said_in_so_many_words_and_is_told() -> None:
    for nothing in ("", "  "):
        with pytest.raises(NotSafe):
            access("0.0.0.0", {"UNFOLD_DASHBOARD_GUARDED_BY": nothing})
    found = access("0.0.0.0", {"UNFOLD_DASHBOARD_GUARDED_BY": "the proxy asks for a password"})
    assert found.token is None
    assert "the proxy asks for a password" in found.note


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:8501", "localhost"),
        ("LOCALHOST.", "localhost"),
        ("[::1]:8501", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("evil.example:8501", "evil.example"),
        ("user@localhost", None),
        ("localhost/x", None),
        ("localhost:port", None),
        ("localhost, evil.example", None),
        ("", None),
        (None, None),
    ],
)
def test_the_name_in_a_host_header(header: str | None, name: str | None) -> None:
    assert host_name(header) == name


def test_names_of_loopback_are_told_from_names_that_only_look_like_it() -> None:
    for name in ("localhost", "unfold.localhost", "127.0.0.1", "127.255.1.2", "::1", "::ffff:127.0.0.1"):
        assert is_loopback(name), name
    for name in ("localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "0.0.0.0", "2130706433"):
        assert not is_loopback(name), name


def test_a_server_on_loopback_answers_to_its_own_names_alone() -> None:
    hosts = Hosts.of("127.0.0.1")
    assert hosts.accept("127.0.0.1:8501")
    assert hosts.accept("localhost")
    for other in ("evil.example", "192.168.1.7", "localhost.evil.example", None, "", "[::2]"):
        assert not hosts.accept(other), other


def test_a_server_for_others_answers_to_numbers_and_to_names_that_were_allowed() -> None:
    hosts = Hosts.of("0.0.0.0", ["lab.example", "*.Unfold.example", " "])
    for name in ("192.168.1.7:8501", "[2001:db8::1]:80", "lab.example", "a.unfold.example", "localhost"):
        assert hosts.accept(name), name
    for name in ("unfold.example", "evil.example", "xlab.example", "a.lab.example"):
        assert not hosts.accept(name), name
    assert Hosts.of("127.0.0.1", ["*"]).accept("any.example")
