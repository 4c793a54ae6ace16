"""The networks, by name. Adding one is a new file beside this one and a line here."""

from models import elman, gru, lstm
from models.base import ModelSpec

MODELS: dict[str, ModelSpec] = {
    "lstm": lstm.SPEC,
    "gru": gru.SPEC,
    "elman": elman.SPEC,
}
"""By the name that a run's configuration uses, in the order in which the catalogue shows them."""
