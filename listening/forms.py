from django import forms

from catalog.models import Genre, Song
from listening.models import Impression, Play


class PlayForm(forms.Form):
    """A report of the player."""

    song = forms.IntegerField()
    key = forms.UUIDField()
    started_at = forms.DateTimeField()
    seconds_heard = forms.FloatField(min_value=0)
    source = forms.ChoiceField(choices=Play.Source.choices)
    impression = forms.ModelChoiceField(Impression.objects.none(), required=False)

    def __init__(self, *args, listener, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["impression"].queryset = Impression.objects.filter(listener=listener)


def numbers(texts: list[str]) -> set[int]:
    """The ids among these texts, of those a database can hold."""
    return {int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19}


class PicksField(forms.ModelMultipleChoiceField):
    def clean(self, value):
        # Databases fail on numbers they cannot hold instead of finding nothing.
        if len(numbers(value)) < len(set(value)):
            raise forms.ValidationError(self.error_messages["invalid_list"], code="invalid_list")
        return super().clean(value)


class PicksForm(forms.Form):
    genres = PicksField(Genre.objects.all(), required=False)
    songs = PicksField(Song.objects.all(), required=False)

    def clean(self):
        if not self.errors and not self.cleaned_data["genres"] and not self.cleaned_data["songs"]:
            raise forms.ValidationError("Pick at least one genre or one song, so that your first list is not blind.")
        return self.cleaned_data
