"""The only place that knows there is a database."""

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
    StoreError,
)
from trainer.store.records import Attempt, Checkpoint, RunningAttempt
from trainer.store.store import Store

__all__ = [
    "Attempt",
    "BadCursor",
    "BadReport",
    "BadToken",
    "Checkpoint",
    "Conflict",
    "CorpusNotFound",
    "CorruptCheckpoint",
    "IdempotencyConflict",
    "RunNotFound",
    "RunningAttempt",
    "StaleAttempt",
    "Store",
    "StoreAway",
    "StoreError",
]
