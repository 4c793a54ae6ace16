"""The only place that knows there is a database."""

from trainer.store.database import shown
from trainer.store.errors import (
    BadCursor,
    BadReport,
    BadToken,
    Conflict,
    CorpusNotFound,
    CorruptCheckpoint,
    IdempotencyConflict,
    RunNotFound,
    StaleAttempt,
    StoreAway,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreLost,
    StoreOwned,
    StoreReadOnly,
)
from trainer.store.owner import Claim
from trainer.store.records import Attempt, Checkpoint, RunningAttempt
from trainer.store.store import Store

__all__ = [
    "Attempt",
    "BadCursor",
    "BadReport",
    "BadToken",
    "Checkpoint",
    "Claim",
    "Conflict",
    "CorpusNotFound",
    "CorruptCheckpoint",
    "IdempotencyConflict",
    "RunNotFound",
    "RunningAttempt",
    "StaleAttempt",
    "Store",
    "StoreAway",
    "StoreDamaged",
    "StoreError",
    "StoreForeign",
    "StoreFull",
    "StoreLost",
    "StoreOwned",
    "StoreReadOnly",
    "shown",
]
