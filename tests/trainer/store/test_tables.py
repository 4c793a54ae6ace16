"""Tables in the store: read once, kept as numbers; and what was declared is what they are."""

from __future__ import annotations

import json
import math

import pytest
from alembic import command
from sqlalchemy import insert, text

from trainer.store import CorpusNotFound, Store, database
from trainer.store import store as store_module
from trainer.store.migrate import config
from trainer.store.tables import corpora
from trainer.tables import Choice, TableError, read_table

TEXT = "year,rain,town\n" + "".join(f"{1950 + n},{n * 7 % 31 / 4},Bonn\n" for n in range(50)) + "2000,,Bonn\n"
EITHER = "".join(f"x;{n * 7 % 900 + 1},{n * 7 % 900 + 100}\n" for n in range(50))


def test_a_table_comes_back_to_the_last_bit_without_being_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_table(TEXT)
    info = store.add_corpus("rain.csv", TEXT, read)
    assert (info.kind, info.columns) == ("table", ["rain", "year"])

    def never(*_: object) -> None:
        raise AssertionError("the text was read again")

    monkeypatch.setattr(store_module, "read_table", never)
    found = store.corpus_table(info.id)
    assert found.reading == read.reading
    assert dict(found.others) == {"town": "line 2 has 'Bonn'"}
    for name, column in read.numbers.items():
        assert found.numbers[name].tobytes() == column.tobytes()
    assert math.isnan(found.numbers["rain"][-1])
    assert "town" not in found.numbers
    with pytest.raises(KeyError):
        found.numbers["town"]


def test_the_same_bytes_as_a_text_and_as_tables_are_different_corpora(store: Store) -> None:
    as_text = store.add_corpus("a", EITHER, False)
    with pytest.raises(TableError):
        read_table(EITHER)
    grouped = store.add_corpus("b", EITHER, read_table(EITHER, Choice(thousands="comma")))
    decimal = store.add_corpus("c", EITHER, read_table(EITHER, Choice(decimal="comma")))
    assert [i.kind for i in (as_text, grouped, decimal)] == ["text", "table", "table"]
    assert len({as_text.id, grouped.id, decimal.id}) == 3
    assert store.corpus_table(grouped.id).numbers["column 2"][0] == 1100
    assert store.corpus_table(decimal.id).numbers["column 2"][0] == 1.1
    assert store.add_corpus("again", EITHER, False) == as_text
    assert store.add_corpus("again", EITHER, read_table(EITHER, Choice(decimal="comma"))) == decimal
    with pytest.raises(TableError, match="uploaded as a text"):
        store.corpus_table(as_text.id)
    with pytest.raises(CorpusNotFound):
        store.corpus_table("no")


def test_a_table_from_before_is_read_once_and_then_kept(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored by version 0002, which kept names of columns and nothing else."""
    data = database.Database(url)
    with data.writing() as connection:
        command.upgrade(config(connection), "0002")
        old = {"characters": 9, "vocabulary": 9, "preview": "", "created_at": 1}
        for name, columns in (("table", ["rain", "year"]), ("text", [])):
            values = {**old, "id": name, "name": name, "columns": json.dumps(columns), "text": TEXT.encode()}
            connection.execute(insert(corpora).values(values))
    data.close()
    store = Store(url)
    store.migrate()
    assert [(c.id, c.kind) for c in store.corpora()] == [("table", "table"), ("text", "text")]
    expected = read_table(TEXT)
    assert store.corpus_table("table").numbers["rain"].tobytes() == expected.numbers["rain"].tobytes()
    monkeypatch.setattr(store_module, "read_table", None)
    assert list(store.corpus_table("table").numbers) == ["rain", "year"]
    with pytest.raises(TableError, match="uploaded as a text"):
        store.corpus_table("text")
    with store._database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM corpus_columns")).scalar_one() == 2
    store.close()
