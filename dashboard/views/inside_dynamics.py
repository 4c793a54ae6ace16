"""The views of the page Inside on what a timestep does to a gradient, and on clipping."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.cliff import cliff_figure, descent_figure, out_of_sight
from dashboard.charts.eigenvalues import (
    eigenvalue_figure,
    eigenvalue_playback_figure,
    eigenvalue_words,
    matrix_title,
)
from dashboard.charts.gradient_norms import gradient_norm_figure
from dashboard.charts.jacobians import (
    exponent_figure,
    exponent_words,
    hidden_words,
    product_figure,
    step_figure,
)
from dashboard.charts.weights import role_title
from dashboard.components.live_plot import live_plot
from dashboard.text import share
from dashboard.theme import RUN_COLORS
from dashboard.views.inside_parts import Look
from dashboard.views.inside_recorded import POINTS, draw_over_training
from dashboard.views.parts import heading, letters_of
from trainer.schema import CliffView, JacobiansView

SPECTRA = 50
"""Recordings of the eigenvalues that the browser plays: each has many numbers."""


# --- Jacobians ---------------------------------------------------------------------------------------


def draw_jacobians(look: Look, found: JacobiansView) -> None:
    """Spectra, singular values of one step and of many, exponents, and Pascanu's bounds."""
    for role, bound in found.bounds.items():
        verdict = (
            "gradients must vanish"
            if bound.must_vanish
            else "gradients may explode, though they need not"
            if bound.may_explode
            else "neither is certain"
        )
        st.markdown(
            f"{role_title(role)}: largest singular value **{bound.norm:.3g}**, Pascanu's bound 1/γ = "
            f"**{bound.bound:.3g}**: {verdict}."
        )
    letters = letters_of(look.service, look.run)
    left, right = st.columns(2, gap="large")
    with left:
        if found.spectra:
            heading("Eigenvalues of Ws", eigenvalue_words(found.spectra, letters))
            live_plot(
                eigenvalue_figure(found.spectra, found.spectra_at_start, step=look.step, letters=letters),
                key="plot-eigenvalues",
                description="Eigenvalues of the state-to-state matrices in the complex plane",
                file_name=f"run-{look.run.number}-eigenvalues",
            )
        else:
            why = (
                "They are not shown: of matrices so large they take too long to find."
                if found.has_spectra
                else "This network multiplies its state by no square matrix, so there are none."
            )
            heading("Eigenvalues of Ws", why)
    with right:
        heading("Lyapunov exponents", exponent_words(found.lyapunov))
        if found.lyapunov is not None:
            live_plot(
                exponent_figure(found.lyapunov, color=look.color),
                key="plot-lyapunov",
                description="The largest Lyapunov exponents, with bars from the lowest to the highest start",
                file_name=f"run-{look.run.number}-lyapunov",
            )
    stretch = found.stretch
    if stretch is not None and stretch.words:
        st.caption(f"Singular values: measured on {stretch.words}.")
    left, right = st.columns(2, gap="large")
    with left:
        heading(
            "One step",
            "Above 1 a step stretches a gradient in some direction, below 1 it shrinks it."
            f"{hidden_words(found.step)}",
        )
        live_plot(
            step_figure(
                found.step,
                begin=found.begin,
                color=look.color,
                of_stretch=stretch is not None and stretch.has_several_begins,
            ),
            key="plot-singular",
            description="Largest, median and smallest singular value of each step's Jacobian",
            file_name=f"run-{look.run.number}-singular-values",
        )
    with right:
        heading(
            "Many steps in a row", "−3 means that of a gradient a thousandth is left after so many steps."
        )
        live_plot(
            product_figure(found.product, color=look.color),
            key="plot-products",
            description="Singular values of the product of Jacobians, by lag, as powers of ten",
            file_name=f"run-{look.run.number}-jacobian-products",
        )
    recorded = look.service.eigenvalues(look.run.id, max_steps=SPECTRA)
    if not recorded:
        return
    # In the order, and so in the colours, of the picture above.
    recorded = {name: recorded[name] for name in (*found.spectra, *recorded) if name in recorded}
    left, right = st.columns(2, gap="large")
    with left:
        heading("Eigenvalues over training", "Recorded at each validation. Play them, or move the slider.")
        live_plot(
            eigenvalue_playback_figure(recorded, letters),
            key="plot-eigenvalues-played",
            description="Eigenvalues in the complex plane by step, with a slider",
            file_name=f"run-{look.run.number}-eigenvalues-over-training",
        )
    with right:
        titles = {f"spectral_radius/{name}": matrix_title(name, letters) for name in recorded}
        draw_over_training(
            look,
            titles,
            title="Spectral radius over training",
            about="The size of each matrix's largest eigenvalue.",
            y_title="spectral radius",
            line=(1.0, "the unit circle"),
            colors={title: RUN_COLORS[i % len(RUN_COLORS)] for i, title in enumerate(titles.values())},
        )


# --- Clipping ----------------------------------------------------------------------------------------


def draw_clipping(look: Look) -> None:
    """The recorded norms before and after the clip."""
    metrics = look.service.metrics(
        look.run.id, ["gradient_norm/before_clip", "gradient_norm/after_clip"], max_points=POINTS
    )
    training, rate = look.run.config.training, look.run.summary.clip_rate
    if training.clip is None:
        told = "This run does not clip: what is computed is what is applied."
    elif training.clip == "norm":
        told = (
            "This run clips by norm: a gradient that is too long is made shorter and keeps its direction. It "
            f"acted at **{share(rate)}** of the updates."
        )
    else:
        told = (
            "This run clips by value: every entry that is too large is cut, which bends the gradient's "
            f"direction. It acted at **{share(rate)}** of the updates."
        )
    st.markdown(told)
    live_plot(
        gradient_norm_figure(metrics, color=look.color, training=training, clip_rate=rate),
        key="plot-clipping",
        description="Norm of the gradient over training, before and after clipping, with the threshold",
        file_name=f"run-{look.run.number}-gradient-norm",
    )
    draw_over_training(
        look,
        {"clip_cosine": "before and after the clip"},
        title="How far the clip bends the gradient",
        about="1: its direction is kept. Clipping by norm keeps it always.",
        y_title="cosine between the gradient before and after",
        line=(1.0, "same direction"),
    )
    heading(
        "The cliff",
        "The loss of one unit after 50 timesteps, over its weight and bias (Pascanu, Mikolov & Bengio 2013, "
        "figure 6). It is the same for every run. Choose where a descent begins and how it walks.",
    )


def draw_cliff(look: Look, found: CliffView) -> None:
    """The surface with either descent, or both."""
    del look  # it is the same for every run
    choices = {"both": ["free", "clipped"], "without clipping": ["free"], "with clipped steps": ["clipped"]}
    chosen = st.segmented_control(
        "Descent", list(choices), default="both", required=True, key="cliff-show", bind="query-params"
    )
    paths = choices[chosen]
    left, right = st.columns(2, gap="large")
    with left:
        live_plot(
            cliff_figure(found, paths),
            key="plot-cliff",
            description="The loss over weight and bias, with the descents",
            file_name="cliff",
        )
    with right:
        live_plot(
            descent_figure(found, paths),
            key="plot-descent",
            description="The loss after each step of the descents",
            file_name="cliff-descent",
        )
    away = out_of_sight(found, found.free)
    if away == 0:
        st.caption("The descents begin outside the picture.")
    elif away is not None and "free" in paths:
        st.caption(f"Without clipping, step {away:,} threw the descent out of the picture.")
