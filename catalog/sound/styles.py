"""What a genre's name says of its beat, and of features nobody measured."""

from collections.abc import Mapping
from dataclasses import dataclass

# One bar of sixteenths for each drum: x struck, o struck softly. Other metres repeat or cut the bar.
BEATS: Mapping[str, Mapping[str, str]] = {
    "four on the floor": {"kick": "x...x...x...x...", "clap": "....x.......x...", "hat": "..x...x...x...x."},
    "backbeat": {"kick": "x.....o.x.......", "snare": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
    "driving": {"kick": "x.x...x.x.x...x.", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
    "laid back": {"kick": "x..o......x.....", "snare": "....x.......x..o", "hat": "x.o.x.oox.o.x.o."},
    "one drop": {"kick": "........x.......", "snare": "........x.......", "hat": "o.x.o.x.o.x.o.x."},
    "swing": {"kick": "o...o...o...o...", "snare": "..............o.", "hat": "x...x.o.x...x.o."},
    "dembow": {"kick": "x...x...x...x...", "snare": "...x..x....x..x.", "hat": "o.o.o.o.o.o.o.o."},
    "breaks": {"kick": "x.........x.....", "snare": "....x..o.o..x..o", "hat": "x.x.x.x.x.x.x.x."},
    "train": {"kick": "x.......x.......", "snare": "o.o.x.o.o.o.x.o."},
    "waltz": {"kick": "x...........", "snare": "....o...o...", "hat": "x...o...o..."},
    "none": {},
}


@dataclass(frozen=True)
class Style:
    """A family of genres.

    words : any of them in a genre's name puts it here.
    beat : key of BEATS.
    usual : features of a typical song, taken where a song's own are unknown.
    swing : how late off-beats come, 0 straight .. 1 triplets.
    """

    words: tuple[str, ...]
    beat: str
    usual: Mapping[str, float]
    swing: float = 0.0


def _usual(
    tempo: float, energy: float, acousticness: float, danceability: float, valence: float
) -> Mapping[str, float]:
    return {
        "tempo": tempo,
        "energy": energy,
        "acousticness": acousticness,
        "danceability": danceability,
        "valence": valence,
    }


# The first that fits is taken, so the narrower words stand above the wider ones.
STYLES = (
    Style(("drum and bass", "drum & bass", "dubstep", "breakbeat"), "breaks", _usual(172, 0.9, 0.02, 0.6, 0.4)),
    Style(("reggaeton", "dancehall"), "dembow", _usual(94, 0.75, 0.15, 0.8, 0.7)),
    Style(("reggae", "dub", "ska"), "one drop", _usual(76, 0.5, 0.25, 0.75, 0.75), swing=0.3),
    Style(("hip hop", "hip-hop", "hiphop", "rap", "trap"), "laid back", _usual(90, 0.65, 0.15, 0.8, 0.5), swing=0.4),
    Style(("r&b", "rnb", "soul", "funk"), "laid back", _usual(98, 0.55, 0.3, 0.7, 0.6), swing=0.4),
    Style(("jazz", "blues", "swing"), "swing", _usual(116, 0.35, 0.75, 0.55, 0.5), swing=0.9),
    Style(("ambient", "new age", "drone", "sleep"), "none", _usual(68, 0.15, 0.7, 0.2, 0.25)),
    Style(("classical", "opera", "soundtrack", "score", "piano"), "none", _usual(84, 0.2, 0.93, 0.25, 0.3)),
    Style(("metal", "punk", "hardcore", "grunge"), "driving", _usual(152, 0.95, 0.01, 0.45, 0.35)),
    Style(("folk", "singer-songwriter", "acoustic", "country"), "train", _usual(104, 0.35, 0.8, 0.5, 0.5)),
    Style(("house", "techno", "trance", "disco", "club"), "four on the floor", _usual(126, 0.85, 0.03, 0.75, 0.5)),
    Style(("electro", "dance", "edm"), "four on the floor", _usual(124, 0.85, 0.06, 0.72, 0.55)),
    Style(("latin", "salsa", "samba", "bossa"), "dembow", _usual(108, 0.6, 0.45, 0.7, 0.75)),
    Style(("rock", "alternative", "indie"), "backbeat", _usual(122, 0.75, 0.12, 0.5, 0.5)),
    Style(("pop",), "backbeat", _usual(114, 0.65, 0.25, 0.66, 0.6)),
)
PLAIN = Style((), "backbeat", {})


def style_of(genre: str) -> Style:
    """The style whose words a genre's name holds; PLAIN where none fits."""
    name = genre.casefold()
    return next((style for style in STYLES if any(word in name for word in style.words)), PLAIN)
