from django import forms
from django.utils.translation import gettext_lazy as _

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines import ENGINES
from recommender.models import Board, Curve
from recommender.services.curve import check_curve

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


class CurveForm(forms.ModelForm):
    """The reward curve; what is better may not earn less."""

    class Meta:
        model = Curve
        fields = (
            *("rated_5", "rated_4", "rated_3", "rated_2", "rated_1", "loved", "refused"),
            *("full", "half", "skipped", "passed", "told_counts"),
        )

    def clean(self):
        if not self.errors:
            try:
                check_curve(curve=Curve(**self.cleaned_data))
            except ParameterOutOfRange as fault:
                raise forms.ValidationError(str(fault).capitalize() + ".") from fault
        return self.cleaned_data
