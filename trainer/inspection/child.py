"""The side of an inspection that runs in a process of its own: a question in, an answer out, gone."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import threading
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil
import torch

from trainer import memory
from trainer.checkpoint import CheckpointError, unpack
from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.errors import ConfigError, shortened
from trainer.inspection import VIEWS
from trainer.inspection.base import Meaningless, Recorded, Subject, ViewError
from trainer.schema import ErrorBody, FieldError, Inspection, RunConfig, RunViews
from trainer.tables import Table

NICENESS = 5
"""Added to the priority number: training and the service itself go first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """All that an inspection needs: it opens no database and asks nobody."""

    view: str | None
    """None asks which views have no meaning for the run."""
    settings: Mapping[str, Any]
    config: RunConfig
    step: int | None = None
    checkpoint: bytes | None = None
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Uploaded texts by id, those that the run's task reads."""
    tables: Mapping[str, Table] = dataclasses.field(default_factory=dict)
    """The table that it reads, with the one column."""
    recorded: Recorded = dataclasses.field(default_factory=Recorded)
    note: str = ""
    """What a reader must be told beside the result."""

    def without_checkpoint(self, why: str) -> Question:
        """The same, of a view that can do without; the reader is told why it has to."""
        note = f"{why} What is shown does without one."
        return dataclasses.replace(self, step=None, checkpoint=None, note=note)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """An HTTP answer, ready to be passed on."""

    status: int
    body: bytes
    """JSON: an Inspection, or an ErrorBody."""

    @classmethod
    def refusal(
        cls, status: HTTPStatus, message: str, remedy: str, errors: Sequence[FieldError] = ()
    ) -> Reply:
        """What went wrong, and what to do."""
        body = ErrorBody(message=message, remedy=remedy, errors=list(errors))
        return cls(status=status, body=body.model_dump_json().encode("utf-8", "replace"))


def enter(line: Connection, megabytes: int, seconds: float) -> None:
    """Read a Question from ``line``, answer with a Reply, and end.

    Args:
        line: to the service.
        megabytes: memory to be had beyond what the process begins with.
        seconds: CPU time, in case nobody is left to end this process.
    """
    gc.freeze()  # as in trainer.engine.child
    torch.set_num_threads(1)
    with contextlib.suppress(OSError, AttributeError):  # no such call on Windows
        os.nice(NICENESS)
    _limit(megabytes, seconds)
    with line, contextlib.suppress(EOFError, OSError):  # the service is gone
        question = line.recv()
        threading.Thread(target=_end_with, args=(line,), daemon=True).start()
        line.send(answer(question))


def _end_with(line: Connection) -> None:
    """End this process when the service's end of the line closes: it was killed, and nobody waits any more.

    After the question the service says nothing, so that the line has something to read at its end alone.
    """
    with contextlib.suppress(OSError):  # closed at this end: the answer is out
        wait([line])
        os._exit(1)


def answer(question: Question) -> Reply:
    """Compute a view; every failure becomes an answer that says what to do."""
    if question.view is None:
        return meanings(question)
    began = time.perf_counter()
    view = VIEWS[question.view]
    try:
        settings = view.settings.model_validate(question.settings)
        subject = subject_of(question)
        view.require(subject)
        result: Any = view.compute(subject, settings)
        why = None
    except Meaningless as error:
        result, why = None, str(error)
    except ViewError as error:
        wrong = FieldError(
            field=f"settings.{error.field}",
            value=shortened(error.value),
            problem=error.problem,
            remedy=error.remedy,
        )
        message, remedy = f"settings.{error.field}: {error.problem}.", _sentence(error.remedy)
        return Reply.refusal(HTTPStatus.UNPROCESSABLE_ENTITY, message, remedy, [wrong])
    except CheckpointError as error:
        if memory.is_lack(error):
            return _failure(error)
        message = f"The checkpoint of step {question.step} cannot be used: {error}."
        if view.uses_checkpoint == "may":
            return answer(question.without_checkpoint(message))
        return Reply.refusal(
            HTTPStatus.CONFLICT, message, "Choose another checkpoint, or train the run again."
        )
    except ConfigError as error:
        return Reply.refusal(
            HTTPStatus.CONFLICT,
            f"The run cannot be built again: {error}.",
            "Launch it again, then look inside.",
        )
    except Exception as error:
        return _failure(error)
    found = Inspection.model_construct(
        view=question.view,
        step=question.step,
        seconds=round(time.perf_counter() - began, 3),
        meaningless=why,
        note=question.note,
        result=result,
    )
    return Reply(status=HTTPStatus.OK, body=found.model_dump_json().encode("utf-8", "replace"))


def meanings(question: Question) -> Reply:
    """Why views have no meaning for the run, a RunViews; of a run that cannot be built, nothing is told."""
    found: dict[str, str] = {}
    with contextlib.suppress(ConfigError):
        subject = subject_of(question)
        for name, view in VIEWS.items():
            try:
                view.require(subject)
            except Meaningless as why:
                found[name] = str(why)
    return Reply(status=HTTPStatus.OK, body=RunViews(meaningless=found).model_dump_json().encode())


def subject_of(question: Question) -> Subject:
    """The run as it can be looked into; raises CheckpointError and ConfigError."""

    def text(corpus_id: str) -> str:
        builtin = builtin_corpora().get(corpus_id)
        return builtin.text if builtin is not None else question.texts[corpus_id]

    # Here everything runs on the CPU, wherever the run was trained.
    training = question.config.training.model_copy(update={"accelerator": "cpu"})
    config = question.config.model_copy(update={"training": training})
    resolved = resolve(config, text, question.tables.__getitem__ if question.tables else None)
    network = resolved.network()
    if training.precision == "64":
        network = network.double()
    stored = {} if question.checkpoint is None else unpack(question.checkpoint)
    if stored:
        try:
            network.load_state_dict(stored["module"]["network"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError("its weights do not fit the run's network") from error
        if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
            raise CheckpointError("some of its weights are not finite numbers any more")
    return Subject(
        config=config,
        resolved=resolved,
        step=question.step,
        network=network.eval(),
        stored=stored,
        recorded=question.recorded,
    )


def _limit(megabytes: int, seconds: float) -> None:
    """Bound this process's memory and CPU time, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the service still ends what takes too long
        return
    _, hardest = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + megabytes * 2**20
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit and refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hardest < 0 else min(wanted, hardest), hardest))
    with contextlib.suppress(ValueError, OSError):
        most = int(seconds) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))


def _failure(error: Exception) -> Reply:
    if memory.is_lack(error):
        return Reply.refusal(
            HTTPStatus.GATEWAY_TIMEOUT,
            "The inspection needed more memory than it may take, and was ended.",
            "Choose fewer timesteps or sequences, or raise UNFOLD_INSPECT_MEGABYTES.",
        )
    return Reply.refusal(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        f"The inspection failed ({type(error).__name__}: {str(error)[:300]}).",
        "Other views may work; a checkpoint of another step, too.",
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
