"""The one door to the database: every read and every write of the project goes through here."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal
from uuid import UUID

from trainer.schema import (
    CheckpointInfo,
    CorpusInfo,
    EigenvalueSeries,
    LogLine,
    Report,
    ReportReply,
    Run,
    RunConfig,
    RunPage,
    RunState,
    Sample,
    Series,
    VectorSeries,
)
from trainer.store import (
    checkpoints,
    deletion,
    lifecycle,
    listing,
    logs,
    mapping,
    metrics,
    recordings,
    reports,
    rewind,
    texts,
)
from trainer.store import runs as runs_
from trainer.store.database import Database
from trainer.store.errors import StoreAway, StoreError
from trainer.store.leases import Leases
from trainer.store.migrate import is_current, upgrade
from trainer.store.owner import Claim, Ownership
from trainer.store.records import Attempt, Checkpoint, RunningAttempt
from trainer.tables import Table, TableError, guessed, read_table
from trainer.tables.stored import fetched


class Store:
    """Runs and everything they record, in SQLite or PostgreSQL.

    Nearly every method is one transaction; all block, and may be called from any thread. A service claims the
    database first, and writes nothing from the moment that another one has it; without a claim, nobody else
    may write.

    Args:
        url: ``sqlite:////absolute/path/unfold.db`` or ``postgresql://user:password@host/database``.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._names = metrics.Names()
        self._leases = Leases()
        self._ownership: Ownership | None = None

    def claim(self, claim: Claim) -> None:
        """Become the one service that works with the database, and bring the tables to this version.

        From then on every write raises StoreLost where another service has taken the database over.

        Raises:
            StoreOwned: another service works with it, or is about to give it up: this may take a while.
            StoreForeign, StoreDamaged: it is not one for this version, or not one at all.
        """
        self._ownership = Ownership(self._database, claim)
        self._ownership.take()
        self._leases.begin()  # to wait for another's end, and to migrate, may have taken minutes

    def claim_when_writing(self, claim: Claim) -> None:
        """The same at the first write, if there is one: a reader needs no claim. Raises as ``claim`` does."""
        self._ownership = Ownership(self._database, claim)
        with self._database.reading() as connection:
            if is_current(connection):
                self._ownership.take_when_writing()
                return
        self._ownership.take()

    def migrate(self) -> None:
        """Bring the tables to this version, without a claim."""
        with self._database.migrating() as connection:
            upgrade(connection)

    def beat(self) -> None:
        """Give a sign of life. Raises StoreLost where it comes too late."""
        if self._ownership is not None:
            self._ownership.beat()

    def close(self) -> None:
        try:
            if self._ownership is not None:
                self._ownership.release()
        except StoreError:
            pass  # the row grows old by itself
        finally:
            self._database.close()

    def check(self) -> None:
        """Raises StoreAway unless the database answers."""
        self._database.check()

    # --- Runs ----------------------------------------------------------------------------------------

    def create_run(
        self, config: RunConfig, name: str, tags: list[str], idempotency_key: str | None = None
    ) -> tuple[Run, bool]:
        """A new queued run and True; for a key that was seen, the run that it made and False.

        Raises:
            IdempotencyConflict: the key made a run from another configuration, name or tags.
        """
        with self._database.writing() as connection:
            return runs_.create(connection, config, name, tags, idempotency_key)

    def run(self, run_id: UUID) -> Run:
        """Raises RunNotFound."""
        with self._database.reading() as connection:
            return self._leases.told(mapping.load(connection, run_id))

    def runs(
        self,
        *,
        cursor: str | None = None,
        limit: int = 50,
        states: Sequence[RunState] = (),
        model: str | None = None,
        task: str | None = None,
        tag: str | None = None,
        search: str | None = None,
        binned: bool = False,
        order: listing.Order = "created",
        direction: listing.Direction = "descending",
    ) -> RunPage:
        """A page of the runs that match every filter, of the bin or of those outside.

        ``search`` looks into names and tags.

        Raises BadCursor.
        """
        with self._database.reading() as connection:
            page = listing.page(
                connection,
                cursor=cursor,
                limit=limit,
                states=states,
                model=model,
                task=task,
                tag=tag,
                search=search,
                binned=binned,
                order=order,
                direction=direction,
            )
        return page.model_copy(update={"runs": [self._leases.told(run) for run in page.runs]})

    def patch_run(
        self,
        run_id: UUID,
        name: str | None = None,
        tags: list[str] | None = None,
        binned: bool | None = None,
    ) -> Run:
        """Rename, tag, put into the bin or back; None leaves.

        Raises RunNotFound, and Conflict where a running run is to go into the bin.
        """
        with self._database.writing() as connection:
            return self._leases.told(runs_.patch(connection, run_id, name, tags, binned))

    def delete_run(self, run_id: UUID) -> None:
        """Delete the run for good. Of a small one its own row is left, of a large one more: for ``sweep``.

        So whoever sweeps hears of every run that was deleted, and can remove what lies elsewhere.

        Raises RunNotFound, and Conflict while it is running.
        """
        with self._database.writing() as connection:
            deletion.mark(connection, run_id)
        with self._database.writing() as connection:
            deletion.sweep(connection, run_id, at_last=False)

    def deleted(self) -> list[UUID]:
        """The deleted runs of which rows are left. Those that lay in the bin for a day are among them."""
        with self._database.writing() as connection:
            deletion.mark_expired(connection)
            return deletion.marked(connection)

    def sweep(self, run_id: UUID) -> bool:
        """Delete some rows of a deleted run; whether something of it is left. Takes some ten milliseconds."""
        with self._database.writing() as connection:
            return deletion.sweep(connection, run_id)

    # --- Room on the disk ----------------------------------------------------------------------------

    @property
    def is_claimed(self) -> bool:
        """Whether this service works with the database, and does not only read it."""
        return self._ownership is not None and self._ownership.is_taken

    def give_back(self, keep: int = 0) -> int:
        """Hand some of the room that deletions left back to the disk, but for ``keep`` bytes.

        Takes some milliseconds. PostgreSQL's own autovacuum lets new rows have that room: nothing to do.

        Returns:
            How many pages it were; call it again until there are none.
        """
        return self._database.give_back(keep)

    def truncate_log(self) -> bool:
        """Empty the write-ahead log, and end the file before the pages that ``give_back`` took.

        False where a reader forbids it just now.
        """
        return self._database.truncate_log()

    def rewrite(self) -> bool:
        """Make an emptied file from an earlier version small; stop as soon as somebody writes.

        Returns:
            Whether it was such a file and is now one whose room ``give_back`` hands back.
        """
        if not self._database.is_worth_rewriting():
            return False
        if self._ownership is not None:
            self._ownership.beat(ahead=3600.0)  # no sign of life is possible meanwhile
        try:
            return self._database.rewrite()
        finally:
            self.beat()

    # --- Life ----------------------------------------------------------------------------------------

    def next_queued(self) -> Run | None:
        """The run that has waited longest; a resumed one waits from the moment of its resume."""
        with self._database.reading() as connection:
            return lifecycle.next_queued(connection)

    def start_attempt(self, run_id: UUID) -> Attempt:
        """Queued to running. What was recorded after the newest intact checkpoint is dropped with it.

        Raises RunNotFound, and Conflict when the run is not queued.
        """
        self._drop_superseded(run_id)
        with self._database.writing() as connection:
            attempt = lifecycle.start_attempt(connection, run_id)
        self._leases.started(run_id, attempt.number)
        return attempt

    def _drop_superseded(self, run_id: UUID) -> None:
        """Before a resume: drop most of what was recorded after the checkpoint, a few rows at a time."""
        with self._database.reading() as connection:
            run = mapping.load(connection, run_id)
            if run.state is not RunState.QUEUED or not run.attempt:
                return
            step = rewind.newest_intact(connection, run.number)
            superseded = deletion.recorded_after(connection, run.number, -1 if step is None else step)
        for table, which in superseded:
            gone = deletion.ROWS
            while gone == deletion.ROWS:
                with self._database.writing() as connection:
                    now = mapping.load(connection, run_id)
                    if (now.state, now.attempt) != (RunState.QUEUED, run.attempt):
                        return  # stopped meanwhile: what is left is dropped before the next attempt
                    gone = deletion.delete_some(connection, table, deletion.ROWS, which)

    def request_stop(self, run_id: UUID) -> Run:
        """Stop a queued run at once; remember it for a running one; leave one that is over."""
        with self._database.writing() as connection:
            return self._leases.told(lifecycle.request_stop(connection, run_id))

    def requeue(self, run_id: UUID) -> Run:
        """Stopped, failed or interrupted to queued, or running if its worker does not answer.

        Raises RunNotFound, Conflict.
        """
        with self._database.writing() as connection:
            return lifecycle.requeue(connection, run_id, self._leases.silence)

    def put_back(self, run_id: UUID, number: int, reason: str, most: int) -> int:
        """Queue the run of a running attempt whose process never began again, before all others.

        Returns:
            How many of its attempts in a row never began. With ``most`` of them, nothing is changed; 0, and
            no change either, unless the attempt is current and running. Raises RunNotFound.
        """
        with self._database.writing() as connection:
            return lifecycle.put_back(connection, run_id, number, reason, most)

    def end_attempt(self, run_id: UUID, number: int, state: RunState, reason: str | None = None) -> bool:
        """End the attempt if it is current and running; otherwise change nothing and return False."""
        with self._database.writing() as connection:
            ended = lifecycle.end_attempt(connection, run_id, number, state, reason)
        if ended:
            self._leases.forget(run_id)
        return ended

    def running(self) -> list[RunningAttempt]:
        """The attempts that are running as far as the store knows, in the order of their runs."""
        with self._database.reading() as connection:
            return lifecycle.running(connection)

    # --- Worker --------------------------------------------------------------------------------------

    def accept(
        self, run_id: UUID, number: int, token: str, report: Report, checkpoint: bytes | None = None
    ) -> ReportReply:
        """Store all of a report, or none of it. The same ``sequence`` again changes nothing.

        Raises:
            RunNotFound: the run was deleted.
            BadToken: not this attempt's token.
            StaleAttempt: another attempt is current, or this one has ended.
            BadReport: it contradicts itself, or the checkpoint's hash is wrong.
        """
        reports.check(report, checkpoint)
        with self._speaking(run_id, number), self._database.writing(len(checkpoint or b"")) as connection:
            reply, names = reports.accept(connection, self._names, run_id, number, token, report, checkpoint)
        self._names.remember(names)
        if report.end is None:
            self._leases.heard(run_id, number)
        else:
            self._leases.forget(run_id)
        return reply

    def authorize(self, run_id: UUID, number: int, token: str) -> None:
        """Check the token of a current attempt. Raises RunNotFound, BadToken, StaleAttempt."""
        with self._speaking(run_id, number), self._database.reading() as connection:
            reports.authorize(connection, run_id, number, token)

    @contextmanager
    def _speaking(self, run_id: UUID, number: int) -> Iterator[None]:
        """A worker that says something answers, also while the database is away or full."""
        try:
            yield
        except StoreAway:
            self._leases.knocked(run_id, number)
            raise

    def attempt_checkpoint(self, run_id: UUID, number: int, token: str) -> Checkpoint | None:
        """The newest checkpoint, for the worker that shows its attempt's token. Raises as ``accept`` does."""
        with self._database.reading() as connection:
            attempt = reports.authorize(connection, run_id, number, token)
            return checkpoints.read(connection, attempt.run, "latest")

    def is_current_token(self, token: str) -> bool:
        """Whether this is the token of some attempt that has not ended."""
        with self._database.reading() as connection:
            return reports.is_current_token(connection, token)

    # --- Reading -------------------------------------------------------------------------------------

    def checkpoint(self, run_id: UUID, which: checkpoints.Which = "latest") -> Checkpoint | None:
        """The newest, the best, or that of one step. Raises RunNotFound, CorruptCheckpoint."""
        with self._database.reading() as connection:
            return checkpoints.read(connection, mapping.number_of(connection, run_id), which)

    def checkpoints(self, run_id: UUID) -> list[CheckpointInfo]:
        """Those that are kept, oldest first. Raises RunNotFound."""
        with self._database.reading() as connection:
            return checkpoints.listed(connection, mapping.number_of(connection, run_id))

    def metrics(
        self,
        run_ids: Sequence[UUID],
        keys: Sequence[str] | None = None,
        max_points: int | None = None,
        after_step: int | None = None,
    ) -> dict[UUID, dict[str, Series]]:
        """Curves by run and key, ``max_points`` at most in each. Raises RunNotFound."""
        with self._database.reading() as connection:
            return metrics.read(connection, run_ids, keys, max_points, after_step)

    def vectors(
        self,
        run_id: UUID,
        names: Sequence[str] | None = None,
        max_steps: int | None = None,
        after_step: int | None = None,
    ) -> dict[str, VectorSeries]:
        """Per-timestep vectors by name; ``max_steps`` takes evenly spread recordings. Raises RunNotFound."""
        with self._database.reading() as connection:
            number = mapping.number_of(connection, run_id)
            return recordings.read_vectors(connection, number, names, max_steps, after_step)

    def eigenvalues(self, run_id: UUID, max_steps: int | None = None) -> dict[str, EigenvalueSeries]:
        """Eigenvalues by matrix; ``max_steps`` takes evenly spread recordings. Raises RunNotFound."""
        with self._database.reading() as connection:
            number = mapping.number_of(connection, run_id)
            return recordings.read_eigenvalues(connection, number, max_steps)

    def samples(self, run_id: UUID, after_step: int | None = None, limit: int | None = None) -> list[Sample]:
        """Samples by step and index; ``limit`` takes the newest. Raises RunNotFound."""
        with self._database.reading() as connection:
            number = mapping.number_of(connection, run_id)
            return recordings.read_samples(connection, number, after_step, limit)

    def log(self, run_id: UUID, after: int | None = None, limit: int = 1000) -> list[LogLine]:
        """At most ``limit`` lines: those after the first ``after``, or the newest. Raises RunNotFound."""
        with self._database.reading() as connection:
            return logs.read(connection, mapping.number_of(connection, run_id), after, limit)

    # --- Uploaded texts ------------------------------------------------------------------------------

    def add_corpus(self, name: str, text: str, table: Table | Literal[False] | None = None) -> CorpusInfo:
        """Store what passed ``UploadCheck``; the same text, declared to be the same, is one corpus.

        Args:
            name: for its reader.
            text: as it was uploaded.
            table: what it holds as a table; False: it is a text; None: whichever it looks like.
        """
        prepared = texts.prepare(name, text, guessed(text) if table is None else table or None)
        size = len(prepared.data) + sum(len(numbers) for _, numbers in prepared.columns)
        with self._database.writing(size) as connection:
            return texts.add(connection, prepared)

    def corpora(self) -> list[CorpusInfo]:
        """Every uploaded text, oldest first; the built-in ones are in ``trainer.corpora``."""
        with self._database.reading() as connection:
            return texts.listed(connection)

    def corpus_text(self, corpus_id: str) -> str:
        """The text of an upload. Raises CorpusNotFound, which is a LookupError."""
        with self._database.reading() as connection:
            return texts.text(connection, corpus_id)

    def corpus_table(self, corpus_id: str) -> Table:
        """The table of an upload, its columns read from the database when they are asked for.

        Raises CorpusNotFound; and TableError for a text, or a table that an older version took and this one
        cannot read.
        """
        with self._database.reading() as connection:
            kind, reading = texts.reading(connection, corpus_id)
            text = texts.text(connection, corpus_id) if kind == "table" and reading is None else ""
        if kind != "table":
            raise TableError("it was uploaded as a text", "upload it again as a table, or choose a table")
        if reading is None:
            read = read_table(text)
            prepared, reading = texts.prepare("", text, read), read.reading
            with self._database.writing() as connection:
                texts.keep(connection, corpus_id, prepared)
        names = reading.columns

        def load(name: str) -> array[float]:
            with self._database.reading() as connection:
                return texts.column(connection, corpus_id, names.index(name))

        return fetched(reading, load)
