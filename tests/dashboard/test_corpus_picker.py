"""Which text or table a task reads, as a user of the launch form chooses it."""

from __future__ import annotations

from conftest import Open
from fake_service import FakeService
from streamlit.testing.v1 import AppTest

from trainer.schema import CorpusInfo

VIEW = "views/launch.py"


def choose(app: AppTest, name: str) -> AppTest:
    return app.button(key=f"choose:task:{name}").click().run()


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def test_a_table_and_its_column_are_chosen_where_the_task_needs_them(
    open_page: Open, fake: FakeService
) -> None:
    app = open_page(VIEW)
    assert not {"Text", "Table", "Column"} & {box.label for box in app.selectbox}
    choose(app, "series")
    table, column = app.selectbox(key="field:task.corpus"), app.selectbox(key="field:task.column")
    assert (table.label, column.label) == ("Table", "Column")
    assert table.options == ["Sunspots · 2 columns of numbers"]
    assert column.options == ["sunspots", "year"]
    assert "Begins: “year,sunspots 1700,5 1701,11…”" in captions(app)
    assert not [box for box in app.text_input if box.label in {"Corpus", "Column"}], "once, not twice"
    column.set_value("year").run()
    app.button(key="launch.go").click().run()
    [launch] = fake.launched
    assert launch.config.task == {"name": "series", "length": 50, "corpus": "sunspots", "column": "year"}


def test_texts_are_offered_to_text_tasks_and_tables_to_table_tasks(
    open_page: Open, fake: FakeService
) -> None:
    """Also when the user comes from the other kind of task."""
    app = open_page(VIEW)
    for task, wanted in (
        ("characters", "python-topics"),
        ("series", "sunspots"),
        ("characters", "python-topics"),
    ):
        choose(app, task)
        box = app.selectbox(key="field:task.corpus")
        assert len(box.options) == 1
        box.set_value(wanted).run()
        assert app.selectbox(key="field:task.corpus").value == wanted
    app.button(key="launch.go").click().run()
    assert fake.launched[0].config.task == {"name": "characters", "length": 50, "corpus": "python-topics"}


def test_another_table_brings_its_own_columns(open_page: Open, fake: FakeService) -> None:
    fake.corpora.append(
        CorpusInfo(
            id="mine",
            name="rain.csv",
            characters=900,
            vocabulary=12,
            builtin=False,
            preview="rain,wind\n1,2",
            columns=["rain", "wind"],
        )
    )
    app = open_page(VIEW)
    choose(app, "series")
    app.selectbox(key="field:task.column").set_value("year").run()
    app.selectbox(key="field:task.corpus").set_value("mine").run()
    assert app.selectbox(key="field:task.column").options == ["rain", "wind"]
    assert app.selectbox(key="field:task.column").value == "rain"


def test_an_uploaded_table_is_chosen_at_once(open_page: Open, fake: FakeService) -> None:
    app = open_page(VIEW)
    choose(app, "series")
    uploader = app.file_uploader[0]
    assert uploader.label == "CSV file"
    uploader.upload("rain.csv", b"rain,wind\n" + b"1,2\n" * 40, "text/csv").run()
    assert app.selectbox(key="field:task.corpus").value == "uploaded"
    app.button(key="launch.go").click().run()
    assert fake.launched[0].config.task["column"] == "rain"


def test_a_file_that_is_no_table_is_refused_with_what_to_do(open_page: Open, fake: FakeService) -> None:
    app = open_page(VIEW)
    choose(app, "series")
    app.file_uploader[0].upload("poem.txt", b"The rain it raineth every day" * 9, "text/plain").run()
    assert [error.value for error in app.error]
    assert len(fake.corpora) == 2
    assert app.selectbox(key="field:task.corpus").value == "sunspots"


def test_without_any_table_one_can_be_uploaded(open_page: Open, fake: FakeService) -> None:
    fake.corpora = [corpus for corpus in fake.corpora if not corpus.columns]
    app = open_page(VIEW)
    choose(app, "series")
    assert "none yet" in captions(app)
    assert app.file_uploader[0].label == "CSV file"


def test_how_a_table_was_read_is_told_before_launch(open_page: Open) -> None:
    app = open_page(VIEW)
    choose(app, "series")
    told = captions(app)
    for part in (
        "309 rows",
        "cells separated by semicolons",
        "decimal sign comma",
        "no thousands sign",
        "names above the numbers",
        "units: sunspots in mm",
        "1 line below them passed over",
        "2 comment lines passed over",
        "missing: empty cells, “NA”",
        "Left out: “town”, line 2 has 'Bonn'",
    ):
        assert part in told
    choose(app, "characters")
    assert "Read as" not in captions(app)


def test_what_the_user_declares_goes_with_the_upload(open_page: Open, fake: FakeService) -> None:
    app = open_page(VIEW)
    choose(app, "series")
    app.selectbox(key="launch.sign:decimal").set_value("comma").run()
    app.file_uploader[0].upload("rain.csv", b"rain,wind\n" + b"1,2\n" * 40, "text/csv").run()
    assert fake.declared == [{"table": True, "decimal": "comma", "thousands": None}]
    choose(app, "characters")
    app.file_uploader[0].upload("poem.txt", b"The rain it raineth every day" * 9, "text/plain").run()
    assert fake.declared[1] == {"table": False, "decimal": None, "thousands": None}


def test_a_text_that_looks_like_a_table_is_offered_as_the_text_that_it_was_declared_to_be(
    open_page: Open, fake: FakeService
) -> None:
    looks = {"characters": 9, "vocabulary": 9, "builtin": False, "preview": "a,b\n1,2"}
    fake.corpora.append(CorpusInfo(id="log", name="log.txt", kind="text", **looks))
    app = open_page(VIEW)
    choose(app, "characters")
    assert len(app.selectbox(key="field:task.corpus").options) == 2
    choose(app, "series")
    assert len(app.selectbox(key="field:task.corpus").options) == 1
