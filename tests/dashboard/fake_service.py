"""A stand-in for the training service: the same routes and types, canned catalogue, runs in a dictionary.

Its rules are the real ones as far as the pages can tell: a token, filters, paging, 422 with field errors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from trainer.schema import (
    AnalysisConfig,
    Catalog,
    CatalogEntry,
    Chance,
    CheckpointInfo,
    ColumnPlot,
    CorpusInfo,
    ErrorBody,
    Estimate,
    FieldError,
    Inspect,
    Inspection,
    Launch,
    Letter,
    Run,
    RunConfig,
    RunPage,
    RunPatch,
    RunState,
    RunViews,
    Summary,
    TableReading,
    TrainingConfig,
    ViewEntry,
    ViewResult,
)

TOKEN = "a-token-for-tests"
NOW = datetime.now(UTC)


def integer(default: int, low: int, high: int, description: str) -> dict[str, Any]:
    return {
        "type": "integer",
        "default": default,
        "minimum": low,
        "maximum": high,
        "description": description,
    }


NETWORK_SCHEMA = {
    "type": "object",
    "properties": {
        "hidden_size": integer(64, 1, 4096, "Units in each layer's state."),
        "layers": integer(1, 1, 8, "Recurrent layers, one above the other."),
    },
}
ELMAN_SCHEMA = {
    "type": "object",
    "properties": NETWORK_SCHEMA["properties"]
    | {
        "nonlinearity": {
            "$ref": "#/$defs/Nonlinearity",
            "default": "tanh",
            "description": "What bends the state.",
        }
    },
    "$defs": {"Nonlinearity": {"type": "string", "enum": ["tanh", "relu"]}},
}
LENGTH = {"length": integer(50, 10, 5000, "Shortest sequence, in timesteps.")}


LETTERS = {
    "f": Letter(name="forget gate f", does="keeps"),
    "i": Letter(name="input gate i", does="lets in"),
}


def model(
    name: str,
    title: str,
    schema: dict[str, Any],
    *,
    keeps_state: bool = True,
    letters: dict[str, Letter] | None = None,
) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        title=title,
        summary=f"{title}: one line about it.",
        source="Somebody 1990",
        equations="h_t = \\tanh(W_x x_t + W_s h_{t-1})\ny_t = W_y h_t",
        json_schema=schema,
        keeps_state=keeps_state,
        letters=letters or {},
    )


VIEWS = ["diagnosis", "triangle", "truncation", "credit", "jacobians", "cliff", "gates", "places", "surgery"]
VIEWS += ["generate", "rewind"]


CHOSEN = {"places": "state", "surgery": "target"}
"""Settings that are one of a network's own gates and states."""


def view(name: str) -> ViewEntry:
    properties: dict[str, Any] = {"length": integer(60, 2, 300, "How many timesteps to measure.")}
    if name == "gates":
        text = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
        properties["text"] = text | {"description": "A text to read; empty reads the sequence."}
    if name in CHOSEN:
        nullable = [{"type": "string", "pattern": r"^\w/\d$"}, {"type": "null"}]
        properties[CHOSEN[name]] = {"anyOf": nullable, "default": None, "description": "Which one."}
    return ViewEntry(
        name=name,
        title=name.capitalize(),
        summary=f"What {name} shows.",
        look_for=f"Something in {name}.",
        json_schema={"type": "object", "properties": properties},
        needs_checkpoint=name not in ("diagnosis", "cliff"),
    )


CATALOG = Catalog(
    views=[view(name) for name in VIEWS],
    models=[
        model("elman", "Elman network", ELMAN_SCHEMA),
        model("lstm", "LSTM", NETWORK_SCHEMA, letters=LETTERS),
        model("gru", "GRU", NETWORK_SCHEMA),
        model("ffnn", "Feed-forward network", NETWORK_SCHEMA, keeps_state=False),
    ],
    tasks=[
        CatalogEntry(
            name="adding",
            title="Adding",
            summary="Average the two marked numbers of a long sequence.",
            description="Each timestep brings a random number and a marker.",
            loss_kind="mse",
            loss_reason="Squared error: the answer is a number.",
            source="Somebody 1997",
            json_schema={"type": "object", "properties": LENGTH},
            loss_unit="squared error",
            error_unit="wrong sequences",
            wrong_when="A sequence is wrong when its answer is far off.",
            training_defaults={"steps": 3000, "learning_rate": 0.005},
        ),
        CatalogEntry(
            name="temporal_order",
            title="Temporal order",
            summary="Say in which order two marked symbols came.",
            source="Somebody 1997",
            json_schema={"type": "object", "properties": LENGTH},
            loss_unit="nats",
            error_unit="wrong sequences",
            training_defaults={"steps": 2000, "clip_at": 0.5},
        ),
        CatalogEntry(
            name="characters",
            title="Characters",
            summary="Predict the next character of real text.",
            source="Somebody 2011",
            json_schema={
                "type": "object",
                "properties": LENGTH
                | {"corpus": {"type": "string", "default": "python-topics", "description": "Which text."}},
            },
            loss_unit="nats",
            error_unit="wrong characters",
            streaming=True,
            needs_corpus=True,
        ),
        CatalogEntry(
            name="series",
            title="Series",
            summary="Forecast a column.",
            source="Somebody 1994",
            json_schema={
                "type": "object",
                "properties": LENGTH
                | {
                    "corpus": {"type": "string", "default": "sunspots", "description": "Which table."},
                    "column": {
                        "anyOf": [{"type": "string"}, {"type": "null"}],
                        "default": None,
                        "description": "Which column.",
                    },
                },
            },
            loss_unit="squared error",
            error_unit="wrong forecasts",
            needs_corpus=True,
            needs_table=True,
        ),
    ],
    training_schema=TrainingConfig.model_json_schema(),
    analysis_schema=AnalysisConfig.model_json_schema(),
    accelerators=["cpu"],
)


def make_run(number: int, **given: Any) -> Run:
    """A finished run of an LSTM on adding, but for what is given."""
    model, task = given.pop("model", "lstm"), given.pop("task", "adding")
    values = {
        "id": uuid4(),
        "number": number,
        "name": f"run {number}",
        "tags": [],
        "state": RunState.FINISHED,
        "reason": None,
        "attempt": 1,
        "step": 2000,
        "config": RunConfig(
            model={"name": model, "hidden_size": 32, "layers": 1}, task={"name": task, "length": 60}
        ),
        "summary": Summary(
            parameters=1000,
            chance=Chance(loss=1 / 24, error=0.36),
            best_validation_loss=0.002,
            best_validation_error=0.01,
            steps_per_second=300.0,
        ),
        "created_at": NOW - timedelta(hours=number),
        "started_at": NOW,
        "ended_at": NOW,
        "can_resume": False,
    } | given
    values["can_resume"] = values["state"].can_resume
    return Run.model_validate(values)


Answer = ViewResult | ErrorBody | str


class FakeService:
    """The state behind the routes, and what was asked of them."""

    def __init__(self) -> None:
        self.runs: dict[UUID, Run] = {}
        self.corpora = [
            CorpusInfo(
                id="python-topics",
                name="Python's help pages",
                characters=600_000,
                vocabulary=98,
                builtin=True,
                preview='The "assert" statement',
            ),
            CorpusInfo(
                id="sunspots",
                name="Sunspots",
                characters=3_000,
                vocabulary=12,
                builtin=True,
                preview="year,sunspots\n1700,5\n1701,11",
                columns=["sunspots", "year"],
            ),
        ]
        self.declared: list[dict[str, Any]] = []
        """What uploads were declared to be."""
        self.launched: list[Launch] = []
        self.keys: dict[str, UUID] = {}
        self.estimates = 0
        self.checkpoints = [
            CheckpointInfo(step=step, validation_loss=0.1, is_best=step == 1500, size=1000)
            for step in (1500, 1900, 2000)
        ]
        self.inspected: list[Inspect] = []
        self.answers: dict[str, Answer | Callable[[Inspect], Answer]] = {}
        """By view: its result, why it says no, or why it has no meaning; or what tells that for a request."""
        self.meaningless: dict[str, str] = {}
        """By view that has no meaning for any run: why."""
        self.note = ""
        """Said with every result of a view."""
        self.fail_next = 0
        """How many of the coming requests get no answer."""
        self.app = make_app(self)

    def add(self, *runs: Run) -> list[Run]:
        self.runs |= {run.id: run for run in runs}
        return list(runs)

    def change(self, run_id: UUID, **values: Any) -> Run:
        state = values.get("state", self.runs[run_id].state)
        changed = self.runs[run_id].model_copy(update=values | {"can_resume": state.can_resume})
        self.runs[run_id] = changed
        return changed


def make_app(fake: FakeService) -> FastAPI:
    def authorised(authorization: Annotated[str, Header()] = "") -> None:
        if authorization != f"Bearer {TOKEN}":
            raise HTTPException(401)

    app = FastAPI()
    guarded = [Depends(authorised)]

    @app.exception_handler(HTTPException)
    def http_error(_: Request, error: HTTPException) -> JSONResponse:
        body = (
            error.detail
            if isinstance(error.detail, dict)
            else {"message": str(error.detail), "remedy": "Look."}
        )
        return JSONResponse(ErrorBody.model_validate(body).model_dump(mode="json"), error.status_code)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = [
            {"field": ".".join(map(str, item["loc"][1:])), "problem": item["msg"], "remedy": "change it"}
            for item in error.errors()
        ]
        return JSONResponse({"message": "The request is wrong.", "remedy": "", "errors": found}, 422)

    def find(run_id: UUID) -> Run:
        if run_id not in fake.runs:
            raise HTTPException(404, "There is no such run.")
        return fake.runs[run_id]

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok", "version": "0"}

    @app.get("/catalog", dependencies=guarded)
    def catalog() -> Catalog:
        return CATALOG

    @app.get("/corpora", dependencies=guarded)
    def corpora() -> list[CorpusInfo]:
        return fake.corpora

    @app.post("/corpora", dependencies=guarded, status_code=201)
    def upload(
        file: UploadFile, table: bool = False, decimal: str | None = None, thousands: str | None = None
    ) -> CorpusInfo:
        fake.declared.append({"table": table, "decimal": decimal, "thousands": thousands})
        text = file.file.read()
        columns = ["rain", "wind"] if text.startswith(b"rain,wind\n") else []
        if len(text) < 20 or (table and not columns):
            raise HTTPException(
                422,
                {
                    "message": "The text is too short.",
                    "remedy": "Upload at least 20 characters.",
                    "errors": [],
                },
            )
        corpus = CorpusInfo(
            id="uploaded",
            name=file.filename or "",
            characters=len(text),
            vocabulary=len(set(text)),
            builtin=False,
            preview=text[:200].decode(),
            columns=columns,
        )
        fake.corpora.append(corpus)
        return corpus

    @app.get("/corpora/{corpus_id}/table", dependencies=guarded)
    def table(corpus_id: str) -> TableReading:
        [columns] = [corpus.columns for corpus in fake.corpora if corpus.id == corpus_id]
        return TableReading(
            rows=309,
            separator="semicolon",
            decimal="comma",
            thousands=None,
            header=True,
            units={columns[0]: "mm"},
            comments=2,
            footers=1,
            missing=["", "NA"],
            columns=columns,
            left_out={"town": "line 2 has 'Bonn'"},
        )

    @app.get("/corpora/{corpus_id}/table/plot", dependencies=guarded)
    def plot(corpus_id: str, name: str) -> ColumnPlot:
        del corpus_id
        return ColumnPlot(name=name, rows=[1, 2, 3], values=[5.0, None, 7.0])

    @app.post("/estimate", dependencies=guarded)
    def estimate(launch: Launch) -> Estimate:
        fake.estimates += 1
        size = launch.config.model["hidden_size"]
        if size > 2000:
            error = FieldError(
                field="config.model.hidden_size",
                value=size,
                problem="needs 3 GB of memory",
                remedy="set it to 2000 or less",
            )
            body = ErrorBody(message="The configuration is wrong.", errors=[error])
            raise HTTPException(422, body.model_dump(mode="json"))
        return Estimate(
            parameters=4 * size * size,
            multiplications_per_timestep=4 * size * size,
            seconds=42.0,
            chance=Chance(loss=1 / 24, error=0.36),
            input_size=2,
            output_size=1,
            facts={"Receptive field": "7 timesteps"},
        )

    @app.post("/runs", dependencies=guarded, status_code=201)
    def launch(launch: Launch, idempotency_key: Annotated[str, Header()] = "") -> Run:
        if idempotency_key in fake.keys:
            return fake.runs[fake.keys[idempotency_key]]
        fake.launched.append(launch)
        run = make_run(len(fake.runs) + 1, state=RunState.QUEUED, step=0, summary=Summary(), tags=launch.tags)
        run = run.model_copy(update={"config": launch.config, "name": launch.name or run.name})
        fake.add(run)
        fake.keys[idempotency_key] = run.id
        return run

    @app.get("/runs", dependencies=guarded)
    def runs(
        state: Annotated[list[RunState] | None, Query()] = None,
        model: str | None = None,
        task: str | None = None,
        tag: str | None = None,
        search: str | None = None,
        binned: bool = False,
        order: str = "created",
        direction: str = "descending",
        cursor: int = 0,
        limit: int = 100,
    ) -> RunPage:
        def value(run: Run) -> Any:
            return {"name": run.name, "state": run.state, "step": run.step}.get(order, run.number)

        found = [
            run
            for run in sorted(fake.runs.values(), key=value, reverse=direction == "descending")
            if (not state or run.state in state)
            and binned == (run.binned_at is not None)
            and model in (None, run.config.model["name"])
            and task in (None, run.config.task["name"])
            and (tag is None or tag in run.tags)
            and (search is None or search.lower() in run.name.lower())
        ]
        end = cursor + limit
        return RunPage(runs=found[cursor:end], next=str(end) if end < len(found) else None, total=len(found))

    @app.get("/runs/{run_id}", dependencies=guarded)
    def run(run_id: UUID) -> Run:
        return find(run_id)

    @app.patch("/runs/{run_id}", dependencies=guarded)
    def patch(run_id: UUID, patch: RunPatch) -> Run:
        values = patch.model_dump(exclude_unset=True)
        if values.get("binned") and find(run_id).state is RunState.RUNNING:
            raise HTTPException(409, {"message": "A running run stays.", "remedy": "Stop it first."})
        find(run_id)
        if (binned := values.pop("binned", None)) is not None:
            values["binned_at"] = NOW if binned else None
        return fake.change(run_id, **values)

    @app.delete("/runs/{run_id}", dependencies=guarded, status_code=204)
    def delete(run_id: UUID) -> None:
        find(run_id)
        del fake.runs[run_id]

    @app.post("/runs/{run_id}/stop", dependencies=guarded)
    def stop(run_id: UUID) -> Run:
        find(run_id)
        return fake.change(run_id, state=RunState.STOPPED)

    @app.post("/runs/{run_id}/resume", dependencies=guarded)
    def resume(run_id: UUID) -> Run:
        if not find(run_id).can_resume:
            raise HTTPException(409, {"message": "The run is not over.", "remedy": "Stop it first."})
        return fake.change(run_id, state=RunState.QUEUED)

    @app.get("/runs/{run_id}/checkpoints", dependencies=guarded)
    def checkpoints(run_id: UUID) -> list[CheckpointInfo]:
        find(run_id)
        return fake.checkpoints

    @app.get("/runs/{run_id}/views", dependencies=guarded)
    def views(run_id: UUID) -> RunViews:
        find(run_id)
        return RunViews(meaningless=fake.meaningless)

    @app.post("/runs/{run_id}/inspect", dependencies=guarded)
    def inspect(run_id: UUID, asked: Inspect) -> Inspection:
        find(run_id)
        fake.inspected.append(asked)
        if asked.checkpoint is not None and asked.checkpoint not in {info.step for info in fake.checkpoints}:
            message = f"Run 1 keeps no checkpoint of step {asked.checkpoint:,}."
            raise HTTPException(404, {"message": message, "remedy": "Leave the step out for the newest."})
        answer = fake.answers[asked.view]
        found = answer(asked) if callable(answer) else answer
        if isinstance(found, ErrorBody):
            raise HTTPException(422 if found.errors else 409, found.model_dump(mode="json"))
        why, result = (found, None) if isinstance(found, str) else (None, found)
        return Inspection(
            view=asked.view,
            step=asked.checkpoint,
            seconds=0.1,
            meaningless=why,
            note=fake.note,
            result=result,
        )

    @app.get("/metrics", dependencies=guarded)
    @app.get("/runs/{run_id}/metrics", dependencies=guarded)
    @app.get("/runs/{run_id}/gradients", dependencies=guarded)
    def nothing_by_name() -> dict[str, Any]:
        return {}

    @app.get("/runs/{run_id}/samples", dependencies=guarded)
    @app.get("/runs/{run_id}/log", dependencies=guarded)
    def nothing_in_order() -> list[Any]:
        return []

    return app


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address of the app on a free port of loopback, until the block ends."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the fake service did not start")
            threading.Event().wait(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
