"""What the store refuses, each with a sentence that says what to do."""

# ruff: noqa: N818  they name what was found, as the API's readers know it

from __future__ import annotations


class StoreError(Exception):
    """Base of everything the store raises on purpose. ``remedy`` says what to do now."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class StoreAway(StoreError):
    """The database does not answer, or cannot write: it is locked, full, or out of reach, for now."""


class StoreFull(StoreAway):
    """There is no room where the database lies."""


class StoreReadOnly(StoreAway):
    """The database can be read and not written."""


class StoreDamaged(StoreError):
    """The database is damaged, or not a database at all."""


class StoreForeign(StoreError):
    """The database belongs to a newer Unfold, or to another program."""


class StoreOwned(StoreError):
    """Another service works with this database."""


class StoreLost(StoreError):
    """This service was away for so long that another one has taken the database over."""


class RunNotFound(StoreError):
    """No run has this id; it may have been deleted."""


class CorpusNotFound(StoreError, LookupError):
    """No uploaded text has this id."""


class Conflict(StoreError):
    """The run's state forbids this."""


class IdempotencyConflict(Conflict):
    """An idempotency key came again with another launch."""


class BadCursor(StoreError):
    """A paging cursor that this order did not give out."""


class BadToken(StoreError):
    """Not the token of this attempt."""


class StaleAttempt(StoreError):
    """The attempt is no longer the run's current one, or it has ended."""


class BadReport(StoreError):
    """A report that contradicts itself: unequal columns, a negative step, a wrong checkpoint hash."""


class CorruptCheckpoint(StoreError):
    """Stored checkpoint bytes no longer match their SHA-256."""
