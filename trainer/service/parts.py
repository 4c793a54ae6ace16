"""What the routes work with: the store, the scheduler, the inspector, the texts."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request

from trainer.corpora import builtin_corpora, builtin_tables
from trainer.inspection.inspector import Inspector
from trainer.service.turns import Turns
from trainer.store import Store
from trainer.tables import Table, TableError


class Waker(Protocol):
    """The one thing that routes ask of a scheduler."""

    def wake(self) -> None:
        """Look at the store again: a run was queued, or is to stop."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """What the routes work with; one per app."""

    store: Store
    scheduler: Waker
    inspector: Inspector
    estimates: Turns = dataclasses.field(default_factory=lambda: Turns(1, 200, "estimates"))
    launches: Turns = dataclasses.field(default_factory=lambda: Turns(1, 200, "launches"))
    uploads: Turns = dataclasses.field(default_factory=lambda: Turns(2, 30, "uploads"))
    """In which they arrive; each is then looked through at its turn in ``checks``."""
    checks: Turns = dataclasses.field(default_factory=lambda: Turns(1, 32, "uploads"))
    readings: Turns = dataclasses.field(default_factory=lambda: Turns(1, 300, "texts and tables"))
    """Whole texts and tables, for those who ask for one; not behind uploads, which take seconds each."""

    def corpus(self, corpus_id: str) -> str:
        """The text of a corpus, built in or uploaded; LookupError for an unknown id."""
        builtin = builtin_corpora().get(corpus_id)
        return builtin.text if builtin is not None else self.store.corpus_text(corpus_id)

    def table(self, corpus_id: str) -> Table:
        """A table, built in or uploaded; LookupError for an unknown id, TableError for what is none."""
        if corpus_id in builtin_tables():
            return builtin_tables()[corpus_id]
        if corpus_id in builtin_corpora():
            raise TableError("it is a text", "choose a table")
        return self.store.corpus_table(corpus_id)


def _of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


Given = Annotated[Parts, Depends(_of)]
