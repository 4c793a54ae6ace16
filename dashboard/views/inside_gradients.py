"""The views of the page Inside that follow gradients: through time, itemised, truncated; and credit."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.compare import GradientCurve, time_gradient_figure
from dashboard.charts.credit import credit_colors, credit_title, missing_words, norms_figure, ratio_figure
from dashboard.charts.playback import decay_words, factor_figure, has_pace, playback_figure
from dashboard.charts.time_gradients import norm_symbol, quantity_order, quantity_title
from dashboard.charts.triangle import (
    FEW,
    LagCurve,
    by_lag,
    kept_curve,
    lag_figure,
    loss_rows,
    triangle_figure,
)
from dashboard.charts.truncation import lag_norm_figure, lag_words, match_figure, words
from dashboard.charts.weights import role_colors, role_order, role_title
from dashboard.components.live_plot import live_plot
from dashboard.text import number, plain
from dashboard.theme import RUN_COLORS, run_color, run_dash
from dashboard.views.inside_parts import Look, choose
from dashboard.views.inside_recorded import draw_over_training
from dashboard.views.parts import deciding_words, heading, model_entry, relative_toggle
from trainer.schema import (
    CreditView,
    DiagnosisView,
    Grid,
    TriangleView,
    TruncationView,
)

RECORDINGS = 100
"""Frames that the browser plays: the very recordings that a diagnosis fits."""


# --- Through time ------------------------------------------------------------------------------------


def draw_diagnosis(look: Look, found: DiagnosisView) -> None:
    """What the recorded numbers say; the recordings, played; and other runs on the same plot."""
    with st.container(border=True, gap="xsmall"):
        st.markdown("**What the numbers say**")
        for sentence in found.sentences:
            st.markdown(plain(sentence))
    recorded = look.service.gradients(look.run.id, max_steps=RECORDINGS)
    if not recorded:
        network = model_entry(look.service, look.run)
        if network is not None and not network.keeps_state:
            told = "this network keeps no state, so there is nothing for a gradient to travel back along."
            st.info(f"{plain(network.title)}: {told}", icon=":material/do_not_disturb_on:")
        else:
            st.caption("This run has recorded no gradient through time.")
        return
    # First what the sentences speak of; beside other runs, what most networks have.
    told_of = "" if look.beside else found.state
    states = sorted(recorded, key=lambda state: (state != told_of, quantity_order(state)))
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        name = choose("State", states, key="through-state", words=quantity_title, width=280)
        is_relative = relative_toggle()
    fit = found.fits.get(name)
    has_line = fit is not None and has_pace(fit)
    heading(
        "Over the training, and at one step of it",
        "Left: each column is one recording. Right: the recording that the slider stands at"
        + (", with the exponential that fits it best, where it fades or grows evenly" if has_line else "")
        + f". {deciding_words(look.run)}".rstrip(),
    )
    live_plot(
        playback_figure(
            recorded[name],
            name=name,
            color=look.color,
            fits=fit,
            informative=look.run.summary.informative or {},
            is_relative=is_relative,
        ),
        key="plot-playback",
        description=f"Gradient norm of the {quantity_title(name)} by timestep and step, with a slider",
        file_name=f"run-{look.run.number}-gradient-through-time",
    )
    _several(look, found, name, is_relative=is_relative)


def _several(look: Look, found: DiagnosisView, name: str, *, is_relative: bool) -> None:
    """The newest recordings of all chosen runs, and how the fitted decay went."""
    fits, curves, names, without = {}, {}, look.names, []
    for run in (look.run, *look.beside):
        own = found
        if run.id != look.run.id:
            answer = Look(service=look.service, run=run, entry=look.entry, step=None, settings={}).inspect()
            if not isinstance(answer.result, DiagnosisView):
                st.caption(f"{plain(names[run.id])}: {plain(answer.meaningless or 'nothing to show')}")
                continue
            own = answer.result
        vectors = look.service.gradients(run.id, max_steps=2).get(name)
        if vectors is None:
            st.caption(f"{plain(names[run.id])} has no {quantity_title(name)}.")
            continue
        fit = own.fits.get(name)
        how = decay_words(fit, vectors.steps[-1]) if vectors.steps else ""
        curves[str(run.id)] = GradientCurve(
            name=f"{names[run.id]}: {how}" if how else names[run.id],
            color=run_color(run.number),
            dash=run_dash(run.number),
            vectors=vectors,
        )
        if fit is not None and has_pace(fit):
            fits[str(run.id)] = (fit, run_color(run.number), names[run.id])
        else:
            why = own.unfitted or (
                f"Its gradient {how}." if how else "Nothing could be fitted to a recording."
            )
            without.append(f"{names[run.id]}: {why}" if look.beside else why)
    if look.beside:
        heading("Side by side", "The newest recording of each run.")
        live_plot(
            time_gradient_figure(curves, quantity=name, is_relative=is_relative),
            key="plot-several",
            description=f"Gradient norm at each timestep for {len(curves)} runs",
            file_name="gradients-through-time",
        )
    heading(
        "How the decay changed",
        "By what one timestep back multiplies the gradient, fitted to each recording. Below 1 it vanishes, "
        "above 1 it explodes; the nearer to 1, the longer the memory that can be learnt. Gaps: no "
        "even decay.",
    )
    for why in without:
        st.caption(plain(why))
    if not fits:
        return
    live_plot(
        factor_figure(
            {uid: fit for uid, (fit, _, _) in fits.items()},
            [color for _, color, _ in fits.values()],
            [label for _, _, label in fits.values()],
        ),
        key="plot-factor",
        description="Fitted factor per timestep back, over training",
        file_name=f"run-{look.run.number}-decay",
    )


# --- The triangle ------------------------------------------------------------------------------------


def draw_triangle(look: Look, found: TriangleView) -> None:
    """One quantity's triangle, and how it fades with the distance."""
    options = [*sorted(found.states, key=quantity_order), *sorted(found.weights, key=role_order)]

    def title(key: str) -> str:
        if key in found.states:
            return f"‖∂Eₜ/∂sₖ‖: {quantity_title(key)}"
        return f"Part of ∂Eₜ/∂W: {role_title(key)}"

    name = choose("Show", options, key="triangle-show", words=title, width=420)
    is_state = name in found.states
    rows: Grid = found.states[name] if is_state else found.weights[name]
    quantity = norm_symbol(name).replace("loss", "Eₜ") if is_state else f"‖part of ∂Eₜ/∂{name.split('/')[0]}‖"
    total, stretch = found.totals.get(name), found.stretch
    is_uneven = stretch is not None and stretch.has_several_begins
    if stretch is not None and stretch.words and not found.begin:
        st.caption(f"Measured on {stretch.words}.")
    if total is not None:
        of = f"timesteps {found.begin + 1:,} to {found.begin + len(rows):,} of " if found.begin else ""
        of = "those timesteps of " if is_uneven else of
        st.caption(
            f"All parts together make the full gradient of {role_title(name)} on {of}these sequences: "
            f"its norm is **{number(total)}**."
        )
    measured = by_lag(rows)
    curves = {"whole": LagCurve(name="measured", color=look.color, values=measured)}
    if is_state:
        for place, (field, states) in enumerate(found.paths.items(), start=1):
            if name in states:
                curves[f"path-{field}"] = LagCurve(
                    name=f"through {field} alone",
                    color=RUN_COLORS[(RUN_COLORS.index(look.color) + place) % len(RUN_COLORS)],
                    values=by_lag(states[name]),
                    dash="dot",
                )
        if name in found.carried:
            curves["kept"] = kept_curve(found.carried[name], rows)
    about = "The mean over all losses. A straight fall is exponential decay."
    if "kept" in curves:
        about += " Dashed: what the gates alone would let through."
    present = loss_rows(rows)
    if len(present) < FEW:
        when = ", ".join(str(found.begin + 1 + t) for t in present)
        st.caption(
            f"Training has losses at few timesteps of this stretch ({when or 'none'}). The triangle would "
            f"have {f'only {len(present)}' if present else 'no'} {'row' if len(present) == 1 else 'rows'}: "
            "the curve below is drawn instead."
        )
        _lags(look, curves, quantity, about)
        return
    left, right = st.columns(2, gap="large")
    with left:
        heading(
            "Every pair", "Down: the loss. Across: the step that it speaks to. Nothing speaks to the future."
        )
        live_plot(
            triangle_figure(
                rows,
                begin=found.begin,
                quantity=quantity,
                of_stretch=is_uneven,
            ),
            key="plot-triangle",
            description=f"{quantity} for each loss (down) and each step before it (across)",
            file_name=f"run-{look.run.number}-triangle",
        )
    with right:
        _lags(look, curves, quantity, about)


def _lags(look: Look, curves: dict[str, LagCurve], quantity: str, about: str) -> None:
    heading("By distance", about)
    live_plot(
        lag_figure(curves, quantity=quantity),
        key="plot-lags",
        description=f"{quantity} by the number of timesteps back from the loss",
        file_name=f"run-{look.run.number}-by-lag",
    )


# --- Truncation --------------------------------------------------------------------------------------


def draw_truncation(look: Look, found: TruncationView) -> None:
    """Direction and length of truncated gradients, and what each lag brings."""
    if told := words(found):
        with st.container(gap=None):
            st.markdown(told[0])
            st.caption(told[1])
    stretch = lag_words(found)
    about_lines = f" Solid: backward after every timestep (k1 = 1). {stretch}".rstrip()
    left, right = st.columns(2, gap="large")
    with left:
        heading(
            "Direction",
            f"1: the truncated gradient points where the full one does; 0: nothing in common.{about_lines}",
        )
        live_plot(
            match_figure(found, "cosine"),
            key="plot-cosine",
            description="Cosine between truncated and full gradient, by k2 and weight matrix",
            file_name=f"run-{look.run.number}-truncation-cosine",
        )
    with right:
        heading("Length", "Below 1 the truncated gradient is the shorter one.")
        live_plot(
            match_figure(found, "norm_ratio"),
            key="plot-norm-ratio",
            description="Norm of the truncated gradient divided by that of the full one, by k2",
            file_name=f"run-{look.run.number}-truncation-norm",
        )
    heading(
        "What each lag brings",
        f"The part of the full gradient that comes from exactly so many steps back. {stretch}".rstrip(),
    )
    live_plot(
        lag_norm_figure(found),
        key="plot-lag-norms",
        description="Norm of each lag's part of the gradient, by weight matrix",
        file_name=f"run-{look.run.number}-lags",
    )
    draw_over_training(
        look,
        {f"truncation/cosine/{role}": role_title(role) for role in sorted(found.each_step, key=role_order)},
        colors={role_title(role): color for role, color in role_colors(found.each_step).items()},
        title="Direction over training",
        about="At this run's own k1 and k2, on sequences kept for that, as recorded while the run trained.",
        y_title="cosine between truncated and full gradient",
        line=(1.0, "same direction"),
    )


# --- Credit ------------------------------------------------------------------------------------------


def draw_credit(look: Look, found: CreditView) -> None:
    """Ratios now and before training, and one sequence's norms."""
    ratio = found.now["x"].ratio if "x" in found.now else None
    if ratio is not None:
        st.markdown(
            f"An input that decides the target gets **{number(ratio)} times** the gradient of one that does "
            "not."
        )
    left, right = st.columns(2, gap="large")
    with left:
        heading(
            "Heard above the others?",
            "To the right of the dashed line the decisive timesteps are heard best.",
        )
        live_plot(
            ratio_figure(found, color=look.color, step=look.step),
            key="plot-credit",
            description="Gradient at informative timesteps divided by that at others, now and at the start",
            file_name=f"run-{look.run.number}-credit",
        )
        for told in missing_words(found):
            st.caption(plain(told))
    with right:
        heading(
            "One sequence", "Its gradient at each timestep; dotted lines stand where its target is decided."
        )
        live_plot(
            norms_figure(found.norms, found.informative),
            key="plot-credit-norms",
            description="Gradient norm at each timestep of one sequence",
            file_name=f"run-{look.run.number}-credit-sequence",
        )
    draw_over_training(
        look,
        {f"credit/{name}": credit_title(name) for name in sorted(found.now)},
        colors={credit_title(name): color for name, color in credit_colors(found.norms).items()},
        title="Over training",
        about="The same ratio as it was recorded while the run trained.",
        y_title="gradient at informative ÷ at other timesteps",
        y_type="log",
        line=(1.0, "heard alike"),
    )
