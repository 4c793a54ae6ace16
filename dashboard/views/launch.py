"""Launch: choose a network, a task and how to train; see what it costs; start it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4, uuid5

import streamlit as st
from pydantic import ValidationError

from dashboard.client import Client, NotFound, Refused
from dashboard.fields import errors_of, sentence
from dashboard.forms import Cells, Draft, draw_section, read_sections
from dashboard.session import client, guarded, show_trouble
from dashboard.text import compact, count, duration, many, number, plain, share
from dashboard.views.chooser import chosen_entry, draw_choice
from dashboard.views.corpus_picker import draw_corpus
from trainer.schema import (
    Catalog,
    CatalogEntry,
    Estimate,
    FieldError,
    Launch,
    Run,
    RunConfig,
    blow_up_words,
    of_run,
    properties,
    without_effect,
)

DRAFT, ORIGIN = "launch.draft", "launch.origin"


@guarded
def page() -> None:
    service = client()
    catalog = service.catalog()
    origin = take_origin(service, st.query_params.get("from"))
    draft = st.session_state.setdefault(DRAFT, Draft())

    with st.container(horizontal=True, vertical_alignment="center", key="launch-head"):
        st.title("Launch a run", anchor=False)
        if draft.changed and st.button("Back to defaults", icon=":material/restart_alt:", type="tertiary"):
            start_over()
    if origin:
        show_origin(origin, catalog)
    left, right = st.columns([2.6, 1], gap="large")
    cells = Cells()
    with left:
        config = draw_configuration(service, catalog, draft, cells)
    with right, st.container(border=True, key="launch-card", gap="medium"):
        draw_card(service, catalog, config, cells, origin)


# --- The form ----------------------------------------------------------------------------------------


def draw_configuration(service: Client, catalog: Catalog, draft: Draft, cells: Cells) -> dict[str, Any]:
    """The whole form; returns the configuration that it describes, not yet checked."""
    network = chosen_entry("model", catalog.models, draft)
    chosen = chosen_entry("task", catalog.tasks, draft)
    known = {**properties("model", network), **properties("task", chosen)}
    read = read_sections(
        {
            "model": network.json_schema,
            "task": chosen.json_schema,
            "training": with_accelerators(catalog.training_schema, catalog.accelerators),
            "analysis": catalog.analysis_schema,
            "": SEED,
        },
        draft,
        known,
        defaults={f"training.{name}": value for name, value in chosen.training_defaults.items()},
    )
    model, task, training, analysis, seed = read.values()

    draw_choice("Network", "model", catalog.models, network, draft, cells)
    of_model = draw_section(model, draft, cells, more="More network settings")
    st.space("small")

    draw_choice("Task", "task", catalog.tasks, chosen, draft, cells)
    corpus = draw_corpus(service, chosen, draft, cells) if chosen.needs_corpus else {}
    of_task = draw_section(task, draft, cells, more="More task settings", skip=tuple(corpus)) | corpus
    st.space("small")

    st.subheader("Training", anchor=False)
    of_training = draw_section(training.with_(seed), draft, cells, more="More training settings")
    of_analysis = draw_section(analysis, draft, cells, more="What the run records")
    return {
        "model": {"name": network.name, **of_model},
        "task": {"name": chosen.name, **of_task},
        "training": {name: of_training[name] for name in training.values},
        "analysis": of_analysis,
        "seed": of_training["seed"],
    }


SEED = {"properties": {"seed": RunConfig.model_json_schema()["properties"]["seed"]}}


def with_accelerators(schema: dict[str, Any], present: Sequence[str]) -> dict[str, Any]:
    """The schema without accelerators that the training machine does not have."""
    setting = schema["properties"]["accelerator"]
    possible = [choice for choice in setting["enum"] if choice == "auto" or choice in present]
    return {**schema, "properties": {**schema["properties"], "accelerator": {**setting, "enum": possible}}}


# --- What it costs, and the button -------------------------------------------------------------------


def draw_card(
    service: Client, catalog: Catalog, config: dict[str, Any], cells: Cells, origin: Run | None
) -> None:
    """Name, tags, cost and the launch button; writes errors beside the fields they belong to."""
    name, tags = draw_name_and_tags(cells, origin)
    launch, errors = check(config, name, tags)
    estimate = None
    if launch:
        try:
            cost_of = launch.model_dump_json(exclude={"name", "tags"})
            estimate = cached_estimate(service, service.address.url, cost_of)
        except Refused as refusal:
            errors = refusal.errors or [FieldError(field="", problem=refusal.message, remedy=refusal.remedy)]
    draw_cost(estimate, task_of(catalog, config))
    homeless = cells.show(errors)
    pressed = st.button(
        "Launch",
        type="primary",
        icon=":material/rocket_launch:",
        width="stretch",
        key="launch.go",  # never disabled: it would stay so for a moment after a mistake is mended
    )
    if errors:
        folded = "; ".join(map(plain, cells.hidden(errors)))
        where = f"It is marked in the form: {folded}" if folded else "It is marked in the form"
        st.markdown(  # a caption would be too faint on a dark page
            f":small[:red[:material/error: A setting needs another value. {where}.]]"
            if len(homeless) < len(errors)
            else ":small[:red[:material/error: This cannot be launched.]]"
        )
    for error in homeless:
        st.markdown(f":red[{plain(error.field)}: {plain(sentence(error))}]")
    if pressed and launch and estimate:
        start(service, launch)
    elif pressed:
        st.toast("Nothing was launched: a setting needs another value.", icon=":material/error:")


def draw_name_and_tags(cells: Cells, origin: Run | None) -> tuple[str, list[str]]:
    cells.by_path["name"], cells.by_path["tags"] = st.container(gap="xsmall"), st.container(gap="xsmall")
    name = cells.by_path["name"].text_input(
        "Name",
        placeholder="Made from network and task",
        max_chars=120,
        key="launch.name",
        persist_state="session",
    )
    tags = cells.by_path["tags"].multiselect(
        "Tags",
        list(origin.tags) if origin else [],
        accept_new_options=True,
        placeholder="Type a word and press Enter",
        key="launch.tags",
        persist_state="session",
        help="Words to find this run by, for example the name of a series of runs.",
    )
    return name, tags


def check(config: dict[str, Any], name: str, tags: list[str]) -> tuple[Launch | None, list[FieldError]]:
    """The request that the form describes, or what is wrong with it as far as the dashboard can tell."""
    try:
        return Launch.model_validate({"config": config, "name": name.strip() or None, "tags": tags}), []
    except ValidationError as error:
        return None, errors_of(error)


@st.cache_data(ttl=300, max_entries=200, show_spinner=False)
def cached_estimate(_service: Client, url: str, launch: str) -> Estimate:  # noqa: ARG001 - url is part of the key
    """What a configuration costs, asked once for each: the service measures, which takes a moment."""
    return _service.estimate(Launch.model_validate_json(launch))


def draw_cost(estimate: Estimate | None, task: CatalogEntry) -> None:
    with st.container(gap="small"):
        a, b = st.columns(2)
        a.metric("Parameters", compact(estimate.parameters) if estimate else "–")
        b.metric(
            "Training time",
            f"≈ {duration(estimate.seconds)}" if estimate else "–",
            help="For all steps, from a short measurement on the machine that trains.",
        )
        st.caption(describe_estimate(estimate, task) if estimate else "Known once every setting is right.")


def describe_estimate(estimate: Estimate, task: CatalogEntry) -> str:
    unit = f" ({task.loss_unit})" if task.loss_unit else ""
    chance = f"A blind guess has a loss of **{number(estimate.chance.loss)}**{unit}"
    trained = estimate.chance.training_loss
    if trained is not None and number(trained) != number(estimate.chance.loss):
        chance += f" (**{number(trained)}** in training)"
    if estimate.chance.error is not None:
        chance += f" and **{share(estimate.chance.error)}** {task.error_unit or 'wrong'}"
    work = f"{count(estimate.multiplications_per_timestep)} multiplications per timestep"
    sizes = f"{many(estimate.input_size, 'input')}, {many(estimate.output_size, 'output')}"
    facts = "".join(f"{plain(label)}: **{plain(fact)}**.\n\n" for label, fact in estimate.facts.items())
    if estimate.chance.held_back:
        chance += f" on {estimate.chance.held_back}"
    return f"{work}; {sizes}.\n\n{facts}{chance}: that is chance level."


def task_of(catalog: Catalog, config: dict[str, Any]) -> CatalogEntry:
    return next(entry for entry in catalog.tasks if entry.name == config["task"]["name"])


def start(service: Client, launch: Launch) -> None:
    # A double click sends the same request twice: the same key then gives the same run.
    nonce = st.session_state.setdefault("launch.nonce", uuid4())
    try:
        run = service.launch(launch, idempotency_key=str(uuid5(nonce, launch.model_dump_json())))
    except Refused as refusal:
        show_trouble(refusal)
        return
    del st.session_state["launch.nonce"]
    st.session_state.pop(ORIGIN, None)
    st.switch_page("views/run.py", query_params={"run": str(run.id)})


# --- Launch again with changes -----------------------------------------------------------------------


def take_origin(service: Client, wanted: str | None) -> Run | None:
    """The run that ``?from=`` names. Its settings fill the form once; what is changed after that stays."""
    if not wanted:
        return None
    loaded: Run | None = st.session_state.get(ORIGIN)
    if loaded and str(loaded.id) == wanted:
        return loaded
    try:
        origin = service.run(UUID(wanted))
    except (ValueError, NotFound):
        st.warning("The run to start from is not there any more. This is an empty form.")
        return None
    st.session_state[ORIGIN] = origin
    st.session_state[DRAFT] = draft_of(origin.config)
    st.session_state["launch.name"] = ""
    st.session_state["launch.tags"] = list(origin.tags)
    return origin


def start_over() -> None:
    for key in (DRAFT, ORIGIN, "launch.name", "launch.tags"):
        st.session_state.pop(key, None)
    st.query_params.clear()
    st.rerun()


def draft_of(config: RunConfig) -> Draft:
    draft = Draft()
    draft.fill("model", config.model)
    draft.fill("task", config.task)
    draft.fill("training", config.training.model_dump())
    draft.fill("analysis", config.analysis.model_dump())
    draft.changed["seed"] = config.seed
    return draft


def show_origin(origin: Run, catalog: Catalog) -> None:
    idle = without_effect(*of_run(catalog, origin.config))
    left_out = ", ".join(f"{path.replace('_', ' ')} {value}" for path, value in idle.items())
    st.caption(
        f":material/content_copy: Starts from the settings of run {origin.number}, **{plain(origin.name)}**. "
        "Change what you like; that run stays as it is."
        + (f" Left out, since it had no effect there: {plain(left_out)}." if idle else "")
    )
    if origin.blew_up:
        what, way_out = blow_up_words(origin.reason or "", origin.config.training)
        st.warning(f"**{plain(what)}** {plain(way_out)}", icon=":material/error:")


if __name__ == "__main__":
    page()
