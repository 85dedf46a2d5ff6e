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


class PicksForm(forms.Form):
    genres = forms.ModelMultipleChoiceField(Genre.objects.all(), to_field_name="slug", required=False)
    songs = forms.ModelMultipleChoiceField(Song.objects.all(), required=False)

    def clean(self):
        if not self.errors and not self.cleaned_data["genres"] and not self.cleaned_data["songs"]:
            raise forms.ValidationError("Pick at least one genre or one song, so that your first list is not blind.")
        return self.cleaned_data
