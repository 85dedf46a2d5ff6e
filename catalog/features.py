"""A song's numeric features: name, range and meaning, stated once for columns, imports, sound and charts.

Names and ranges are those of Spotify's audio features (developer documentation, "Get Track's Audio Features").
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    name: str
    low: float | None
    high: float | None
    meaning: str
    whole: bool = False

    def admits(self, value: float) -> bool:
        """Whether a number lies in the range (NaN and infinities never do)."""
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        return low <= value <= high and abs(value) != float("inf")

    @property
    def range_words(self) -> str:
        if self.low is None:
            return "a number"
        return f"at least {self.low:.12g}" if self.high is None else f"from {self.low:.12g} to {self.high:.12g}"


FEATURES = {
    feature.name: feature
    for feature in (
        Feature("danceability", 0, 1, "How well it suits dancing"),
        Feature("energy", 0, 1, "Intensity and activity"),
        Feature("key", 0, 11, "Pitch class: 0 is C, 1 is C sharp, and so on", whole=True),
        Feature("loudness", -80, 20, "Overall loudness in dB"),
        Feature("mode", 0, 1, "1 is major, 0 is minor", whole=True),
        Feature("speechiness", 0, 1, "Presence of spoken words"),
        Feature("acousticness", 0, 1, "Confidence that it is acoustic"),
        Feature("instrumentalness", 0, 1, "Confidence that nobody sings"),
        Feature("liveness", 0, 1, "Presence of an audience"),
        Feature("valence", 0, 1, "Musical positiveness"),
        Feature("tempo", 0, 400, "Beats per minute"),
        Feature("time_signature", 0, 16, "Beats in a bar", whole=True),
    )
}

# Numeric columns that say something about a song without being sound.
FACTS = {
    feature.name: feature
    for feature in (
        Feature("year", 1000, 2200, "Year of release", whole=True),
        Feature("duration_ms", 1, 24 * 3600 * 1000, "Length in milliseconds", whole=True),
        Feature("popularity", 0, 100, "0 is obscure, 100 is everywhere"),
    )
}
