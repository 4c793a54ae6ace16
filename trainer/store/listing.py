"""The list of runs: filters, orders, and pages that stay in place while runs are added.

A cursor holds the last row's place in the order, not a count of rows, so a run that is launched between two
pages neither repeats a row nor hides one.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from trainer.schema import RunPage, RunState
from trainer.store.errors import BadCursor
from trainer.store.mapping import COLUMNS, IS_THERE, to_runs
from trainer.store.tables import runs, tags

Order = Literal["created", "name", "state", "validation", "step"]
Direction = Literal["ascending", "descending"]

_ORDERS: dict[str, ColumnElement[Any]] = {
    "created": runs.c.number,
    "name": runs.c.name,
    "state": runs.c.state,
    "validation": runs.c.validation,
    "step": runs.c.step,
}


def page(
    connection: Connection,
    *,
    cursor: str | None,
    limit: int,
    states: Sequence[RunState],
    model: str | None,
    task: str | None,
    tag: str | None,
    search: str | None,
    binned: bool,
    order: Order,
    direction: Direction,
) -> RunPage:
    """One page of the runs that match every filter given, in the bin or out of it.

    Runs without a validation loss come last.
    """
    matching: list[ColumnElement[bool]] = [
        IS_THERE,
        runs.c.binned_at.is_not(None) if binned else runs.c.binned_at.is_(None),
    ]
    matching += _filters(states, model, task, tag, search)
    total = connection.execute(select(func.count()).select_from(runs).where(*matching)).scalar_one()
    column, down = _ORDERS[order], direction == "descending"
    query = select(*COLUMNS, column.label("position")).where(*matching).limit(limit + 1)
    if order == "validation":
        query = query.order_by(column.is_(None))
    if order != "created":
        query = query.order_by(column.desc() if down else column)
    query = query.order_by(runs.c.number.desc() if down else runs.c.number)
    if cursor is not None:
        query = query.where(_after(column, down, *_decode(cursor, order, direction)))
    rows = connection.execute(query).all()
    shown = rows[:limit]
    more = None
    if len(rows) > limit:
        more = _encode(order, direction, shown[-1].position, shown[-1].number)
    return RunPage.model_construct(runs=to_runs(connection, shown), next=more, total=total)


def _filters(
    states: Sequence[RunState], model: str | None, task: str | None, tag: str | None, search: str | None
) -> list[ColumnElement[bool]]:
    matching: list[ColumnElement[bool]] = []
    if states:
        matching.append(runs.c.state.in_([state.value for state in states]))
    if model is not None:
        matching.append(runs.c.model == model)
    if task is not None:
        matching.append(runs.c.task == task)
    if tag is not None:
        matching.append(exists().where(tags.c.run == runs.c.number, tags.c.tag == tag))
    if search:
        tagged = exists().where(tags.c.run == runs.c.number, tags.c.tag.icontains(search, autoescape=True))
        matching.append(or_(runs.c.name.icontains(search, autoescape=True), tagged))
    return matching


def _after(column: ColumnElement[Any], down: bool, value: Any, number: int) -> ColumnElement[bool]:
    """Rows that come after the row with this value and number."""
    later = runs.c.number < number if down else runs.c.number > number
    if column is runs.c.number:
        return later
    if value is None:  # among those without a value, which are last
        return and_(column.is_(None), later)
    beyond = column < value if down else column > value
    return or_(beyond, and_(column == value, later), column.is_(None))


def _encode(order: str, direction: str, value: Any, number: int) -> str:
    packed = json.dumps([order, direction, value, number], separators=(",", ":"))
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def _decode(cursor: str, order: str, direction: str) -> tuple[Any, int]:
    wrong = BadCursor(
        "the cursor is not one of this order and direction",
        "take it from `next` of the page before, unchanged",
    )
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        got_order, got_direction, value, number = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise wrong from None
    kind = str if order in ("name", "state") else (int, float, type(None))
    if (got_order, got_direction) != (order, direction) or not isinstance(value, kind):
        raise wrong
    if not isinstance(number, int) or not all(abs(n) < 2**63 for n in (number, value) if isinstance(n, int)):
        raise wrong
    if isinstance(value, str) and ("\x00" in value or any("\ud800" <= sign <= "\udfff" for sign in value)):
        raise wrong
    return value, number
