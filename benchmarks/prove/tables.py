"""Any table that a person may upload is read as Python's own reader reads it, or refused in words."""

from __future__ import annotations

from benchmarks.prove.ground import Ground
from benchmarks.prove.promise import SQLITE, Broken, Promise
from benchmarks.prove_tables import prove_tables

EXAMPLES = 10_000


def read_right(ground: Ground) -> str:
    """The strategy of the tables' tests, with many more examples."""
    try:
        return prove_tables(EXAMPLES, ground.chosen.randrange(2**31))
    except AssertionError as error:
        raise Broken(f"a table was misread: {error}") from error


PROMISES = [
    Promise(
        name="tables",
        says="A table is read right or refused in words",
        tried="tables made up by hypothesis, of many delimiters, decimal signs, quotes and encodings",
        proof=read_right,
        databases=(SQLITE,),
    ),
]
