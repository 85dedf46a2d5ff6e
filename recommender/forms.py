from django import forms
from django.utils.translation import gettext_lazy as _

from recommender.engines import ENGINES
from recommender.models import Board

STEP = 0.1


class Slider(forms.NumberInput):
    input_type = "range"


def _slider(label: str, least: float, most: float) -> forms.FloatField:
    widget = Slider(attrs={"step": STEP})
    return forms.FloatField(label=label, min_value=least, max_value=most, step_size=STEP, widget=widget)


class BoardForm(forms.Form):
    """A slider for each engine, by its name, and one between familiar and new."""

    novelty = _slider(_("Familiar or new"), -1, 1)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name, engine in ENGINES.items():
            self.fields[name] = _slider(engine.title, 0, Board.LOUDEST)

    @property
    def sliders(self) -> dict[str, float]:
        return {name: self.cleaned_data[name] for name in ENGINES}
