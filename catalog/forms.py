"""Fields of JSON, whose content is told what is wrong with it: the engines read tags as words, features as numbers."""

import json
import sys
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

LONGEST_WORD = 100  # signs, of a tag and of a feature's name


class _JSON(forms.JSONField):
    """JSON that Python can read and a database store."""

    def to_python(self, value: Any) -> Any:
        try:
            read = super().to_python(value)
            _check_storable(read)
        except (RecursionError, ValueError):
            raise ValidationError(self.error_messages["invalid"], code="invalid", params={"value": value}) from None
        return read

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            shown = super().bound_data(data, initial)
            _check_storable(shown)
        except (RecursionError, ValueError):
            return InvalidJSONInput(data)
        return shown


class WordsField(_JSON):
    """A list of words; blank is an empty one."""

    def clean(self, value: Any) -> list[str]:
        words = super().clean(value) or []
        if not isinstance(words, list) or not all(_is_word(word) for word in words):
            raise ValidationError('Tags are a list of words, such as ["dream pop", "live"].', code="no_words")
        return words


class NumbersField(_JSON):
    """Numbers by name; blank is none."""

    def clean(self, value: Any) -> dict[str, float]:
        numbers = super().clean(value) or {}
        if not isinstance(numbers, dict) or not all(
            _is_word(name) and _is_number(number) for name, number in numbers.items()
        ):
            raise ValidationError(
                'Further features are numbers by name, such as {"brightness": 0.4}.', code="no_numbers"
            )
        return numbers


def _check_storable(read: Any) -> None:
    """Raises ValueError where a database would: none takes NaN, PostgreSQL no half of a surrogate pair."""
    json.dumps(read, ensure_ascii=False, allow_nan=False).encode()


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != "" and len(value) <= LONGEST_WORD and "\0" not in value


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
