"""Which views have no meaning for a run is known before any is computed, in the words of the view itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trainer.inspection.making import ADDING, TEXT, asked, lstm, trained
from trainer.inspection import VIEWS
from trainer.inspection.child import Question, answer
from trainer.schema import RunViews


@pytest.mark.parametrize(
    ("model", "task", "without"),
    [
        (lstm(), ADDING, {"places"}),
        (lstm(), TEXT, {"credit"}),
        (
            {"name": "tdnn", "delays": 1, "hidden_delays": 1},
            {"name": "adding", "length": 30},
            {"places", "credit"},
        ),
        ({"name": "ffnn"}, ADDING, {"places", "credit", "triangle", "truncation", "jacobians", "gates"}),
        (
            {"name": "ffnn"},
            {"name": "parity"},
            {"places", "credit", "triangle", "truncation", "jacobians", "gates"},
        ),
    ],
)
def test_the_views_without_meaning_are_told_with_the_words_that_they_would_use(
    model: dict[str, Any], task: dict[str, Any], without: set[str]
) -> None:
    run = trained(model, task)
    reply = answer(Question(view=None, settings={}, config=run.config))
    told = RunViews.model_validate_json(reply.body).meaningless
    assert set(told) == without
    for view in VIEWS:
        assert asked(run, view).meaningless == told.get(view), view
