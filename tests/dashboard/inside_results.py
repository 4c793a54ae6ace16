"""Small results of every kind of inspection, made by hand."""

from __future__ import annotations

from trainer.schema import (
    Channel,
    CliffPath,
    CliffView,
    CreditShare,
    CreditView,
    DecaySeries,
    DiagnosisView,
    Exponents,
    ForecastSample,
    Future,
    GatesView,
    GeneratedView,
    Guess,
    JacobiansView,
    Match,
    Matches,
    NormBound,
    Place,
    PlacesView,
    RewindView,
    SaturationShares,
    SequenceSample,
    SpectrumView,
    Spread,
    SurgerySide,
    SurgeryView,
    TextSample,
    TriangleView,
    TruncationView,
    ViewResult,
    WrittenSymbol,
)

FITS = DecaySeries(
    steps=[0, 50, 100],
    last=1,
    words=[
        "halves every timestep back (R² 0.99)",
        "halves every 3.1 timesteps back (R² 0.98)",
        "does not fade evenly on its way back (R² 0.12)",
    ],
    factor=[0.5, 0.8, None],
    half_life=[1.0, 3.1, None],
    r_squared=[0.99, 0.98, 0.12],
    ratio=[0.01, 0.1, None],
)
DIAGNOSIS = DiagnosisView(
    sentences=["The loss is that of chance: it has learnt *nothing*."], fits={"h/0": FITS}, numbers={}
)
ROWS = [[1.0, 0.0, 0.0, 0.0], [0.5, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.125, 0.25, 0.5, 2.0]]
"""The third timestep has no loss."""
CARRIED = [[1.0, 0.0, 0.0, 0.0], [0.9, 1.0, 0.0, 0.0], [0.81, 0.9, 1.0, 0.0], [0.729, 0.81, 0.9, 1.0]]
TRIANGLE = TriangleView(
    begin=0,
    states={"h/0": ROWS, "c/0": ROWS},
    weights={"Wx/0": ROWS, "Ws/0": ROWS, "Wy": ROWS},
    totals={"Wx/0": 1.5, "Ws/0": 2.5, "Wy": 0.5},
    paths={"c": {"h/0": ROWS, "c/0": ROWS}},
    carried={"c/0": CARRIED},
)
MATCHES = Matches(cosine=[0.2, 0.7, 0.9, 1.0], norm_ratio=[0.1, 0.5, 0.8, 1.0])
SWEEP = Matches(cosine=[0.6, 1.0], norm_ratio=[0.4, 1.0])
TRUNCATION = TruncationView(
    sequences=4,
    begin=0,
    length=4,
    losses_from=0,
    lags=[0, 1, 2, 3],
    lag_norms={"Ws/0": [1.0, 0.5, 0.2, 0.0]},
    each_step={"Ws/0": MATCHES, "all": MATCHES},
    k1=2,
    k2=[2, 4],
    sweep={"Ws/0": SWEEP, "all": SWEEP},
    own_k1=2,
    own_k2=2,
    own={"all": Match(cosine=0.61, norm_ratio=0.43)},
)
SHARE = CreditShare(informative=0.2, distractors=0.1, ratio=2.0)
CREDIT = CreditView(
    now={"x": SHARE, "h/0": SHARE},
    at_start={"x": SHARE, "h/0": SHARE},
    norms={"x": [0.1, 0.2], "h/0": [0.3, 0.0]},
    informative=[1],
)
SPREAD = Spread(largest=[1.1, 1.2], median=[0.5, 0.4], smallest=[0.1, None])
SPECTRUM = SpectrumView(real=[0.5, -0.5], imaginary=[0.1, -0.1], radius=0.51, norm=0.6)
EXPONENTS = Exponents(
    mean=[-0.1, -0.2, None],
    lowest=[-0.12, -0.21, None],
    highest=[-0.08, -0.19, None],
    wiped_out=[0, 0, 4],
    starts=4,
    warm_up=250,
    timesteps=1000,
    has_settled=True,
)
JACOBIANS = JacobiansView(
    begin=0,
    step=SPREAD,
    product=SPREAD,
    lyapunov=EXPONENTS,
    spectra={"Ws/0": SPECTRUM},
    spectra_at_start={"Ws/0": SPECTRUM},
    has_spectra=True,
    bounds={"Ws/0": NormBound(norm=0.6, bound=1.0, must_vanish=True, may_explode=False)},
)
CLIFF = CliffView(
    w=[4.0, 5.0, 6.0],
    b=[-3.0, -2.0],
    loss=[[0.4, 0.3, 0.1], [0.1, 0.05, 0.0]],
    free=CliffPath(w=[5.0, 9.0], b=[-2.5, 1.0], loss=[0.2, 0.3], norm=[50.0, 0.1]),
    clipped=CliffPath(w=[5.0, 5.1], b=[-2.5, -2.4], loss=[0.2, 0.1], norm=[50.0, 30.0]),
)
SEQUENCE = SequenceSample(
    channels=[Channel(name="symbol", values=["a", " ", "b"])],
    informative=[0],
    target="b",
    prediction="a",
    correct=False,
    detail="it was unsure",
)
GATES = GatesView(
    begin=0,
    sample=SEQUENCE,
    gates={"f/0": [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]},
    states={"h/0": [[-0.5, 0.5], [0.1, 0.2], [0.0, 1.0]]},
    saturation={"f/0": SaturationShares(low=[0.5, 0.0], high=[0.1, 0.9])},
)
PLACE = Place(before="ab", symbol="<", after="cd\n", value=0.9)
PLACES = PlacesView(unit="h/0 3", states=["h/0", "c/0"], read=1280, highest=[PLACE], lowest=[PLACE])
TEXT = TextSample(prompt="to be", text=" or not", temperature=0.5)
SURGERY = SurgeryView(
    clamped="f/0, all 2 units, held at 0",
    choices=["i/0", "f/0"],
    untouched=SurgerySide(loss=0.1, error=0.05, samples=[TEXT]),
    changed=SurgerySide(loss=0.6, error=0.5, samples=[TEXT]),
)
GENERATED = GeneratedView(
    prompt="to",
    text=" b",
    written=[
        WrittenSymbol(symbol=" ", probability=0.9, guesses=[Guess(symbol=" ", probability=0.9)]),
        WrittenSymbol(symbol="b", probability=0.2, guesses=[Guess(symbol="e", probability=0.5)]),
    ],
)
PREDICTIONS = GeneratedView(predictions=[SEQUENCE], wrong=1, total=4)
FORECAST = ForecastSample(truth=[0.0, 1.0], one_ahead=[None, 0.9], alone=[None, 0.8], given=1, detail="close")
FORECASTS = GeneratedView(forecasts=[FORECAST])
FUTURE = Future(
    loss=[0.3, 0.2], norm_before=[5.0, 1.0], norm_after=[1.0, 1.0], clipped=[True, False], ended=None
)
REWIND = RewindView(
    steps=[101, 102],
    changes={"clip": "norm → off"},
    untouched=FUTURE,
    changed=FUTURE.model_copy(update={"loss": [0.3], "ended": "the loss is not finite"}),
)

RESULTS: dict[str, ViewResult] = {
    "diagnosis": DIAGNOSIS,
    "triangle": TRIANGLE,
    "truncation": TRUNCATION,
    "credit": CREDIT,
    "jacobians": JACOBIANS,
    "cliff": CLIFF,
    "gates": GATES,
    "places": PLACES,
    "surgery": SURGERY,
    "generate": GENERATED,
    "rewind": REWIND,
}
"""By view."""
