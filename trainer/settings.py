"""The environment, read once.

Plain pydantic: a handful of variables with one prefix do not earn a second settings library.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from trainer.schema.hosts import MIN_SECRET, Hosts, is_loopback

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds ``models``, ``trainer`` and ``dashboard``."""

PREFIX = "UNFOLD_"


class SettingsError(Exception):
    """The environment asks for something that cannot be; the text says what to change."""


def cores() -> int:
    """CPU cores that this process may use, which in a container can be fewer than the machine has."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(len(allowed), round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file outside Linux; "max 100000" where nothing is limited
        return max(1, len(allowed))


class Settings(BaseModel):
    """Each field is the environment variable of its name in capitals, with ``UNFOLD_`` before it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/.*)?$")
    """Address of the service for commands and the dashboard; empty finds or starts one on this machine."""
    token: SecretStr | None = None
    """The secret that every request must carry; empty lets the service draw one at each start."""
    token_file: Path | None = None
    """A file that holds the token, as container secrets come; UNFOLD_TOKEN goes first."""
    store: str | None = None
    """Database address, such as postgresql://user@host/name; empty takes a SQLite file in UNFOLD_DATA."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """Network address that the service listens on; any but loopback needs a token."""
    port: int = Field(default=8763, ge=0, le=65535)
    """TCP port that the service listens on; 0 takes a free one."""
    allowed_hosts: str = ""
    """Further names by which the service may be called, separated by commas; this machine's own are known."""
    data: Path = ROOT / ".unfold"
    """Folder for the default database, logs and the service's address; one service at a time may use it."""
    slots: int = Field(default_factory=cores, ge=1, le=1024)
    """Runs that train at the same time; as many as CPU cores unless set."""
    inspect_seconds: float = Field(default=20.0, gt=0, le=3600)
    """Seconds that a look inside a run may take before it is ended."""
    inspect_megabytes: int = Field(default=1500, ge=50)
    """Memory (MB) that a look inside a run may take before it is ended."""

    @classmethod
    def read(cls, given: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Self:
        """The settings of an environment; what is ``given`` and not None, as by an option, goes first.

        Raises:
            SettingsError: a value is out of range, or the token's file cannot be read.
        """
        # An empty variable counts as unset: that is what ${UNFOLD_TOKEN:-} in a compose file makes.
        values: dict[str, Any] = {
            name: value
            for name in cls.model_fields
            if (value := environ.get(PREFIX + name.upper(), "").strip())
        }
        values |= {name: value for name, value in (given or {}).items() if value is not None}
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(
                "; ".join(
                    f"{PREFIX}{str(item['loc'][0]).upper()} is {item['input']!r}: {item['msg']}"
                    for item in error.errors()
                )
                + ". Correct it or unset it."
            ) from None
        return settings._with_token_file()._absolute()

    def _with_token_file(self) -> Self:
        if self.token is not None or self.token_file is None:
            return self
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"UNFOLD_TOKEN_FILE is {str(self.token_file)!r}: it cannot be read ({error}). "
                "Name a readable file that holds the token."
            ) from None
        if not token:
            raise SettingsError(
                f"UNFOLD_TOKEN_FILE is {str(self.token_file)!r}: the file is empty. Write the token into it."
            )
        return self.model_copy(update={"token": SecretStr(token)})

    def _absolute(self) -> Self:
        return self.model_copy(update={"data": self.data.expanduser().absolute()})

    @property
    def database(self) -> str:
        """The database's address."""
        return self.store or f"sqlite:///{self.data / 'unfold.db'}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach ``host``."""
        return is_loopback(self.host)

    @property
    def hosts(self) -> Hosts:
        """The names that the service answers to."""
        return Hosts.of(self.host, self.allowed_hosts.split(","))

    def check_bind(self) -> None:
        """Refuse to be reachable from other machines with no secret but a random or a short one.

        Raises:
            SettingsError: ``host`` is not loopback, and no token of at least 16 characters is configured.
        """
        if self.is_loopback:
            return
        where = f"UNFOLD_HOST is {self.host!r}: other machines could reach the service"
        if self.token is None:
            raise SettingsError(
                f"{where}, and no token is set. Set UNFOLD_TOKEN (or UNFOLD_TOKEN_FILE) to a long secret, "
                "or listen on 127.0.0.1."
            )
        if (length := len(self.token.get_secret_value())) < MIN_SECRET:
            raise SettingsError(
                f"{where}, and its token has only {length} character{'s' if length != 1 else ''}: it could "
                f"be guessed. Set UNFOLD_TOKEN to at least {MIN_SECRET} random ones (`make secrets` draws "
                "some), or listen on 127.0.0.1."
            )
