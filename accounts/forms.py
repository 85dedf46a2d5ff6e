from django import forms

from accounts.models import Listener


class ProfileForm(forms.ModelForm):
    class Meta:
        model = Listener
        fields = ("display_name", "country")
