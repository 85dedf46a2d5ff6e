"""From what became of a shown song to a reward of the engines that spoke for it.

The curve is ours: the slides ask for retro-active weights and leave the reward open.
"""

from dataclasses import dataclass
from itertools import pairwise

from quasimusic.exceptions import ParameterOutOfRange

STARS = (1, 2, 3, 4, 5)
HEARD = ("full", "half", "skip")


@dataclass(frozen=True)
class RewardCurve:
    """What an impression is worth by what became of it, 0..1 each, better never below worse.

    ratings : of one star to five. full_listen, half_listen : heard to the end, or half of it or more.
    early_skip : begun and left. passed_over : shown and left alone. not_for_me : refused in so many words.
    told_counts : >= 1, how many impressions count as much as one that was rated or refused: silence says little.
    Raises ParameterOutOfRange.
    """

    ratings: tuple[float, ...] = (0.0, 0.1, 0.5, 0.8, 1.0)
    full_listen: float = 0.9
    half_listen: float = 0.7
    early_skip: float = 0.1
    passed_over: float = 0.05
    not_for_me: float = 0.0
    told_counts: float = 3.0

    def __post_init__(self) -> None:
        listens = (self.not_for_me, self.early_skip, self.half_listen, self.full_listen)
        shown = (self.not_for_me, self.passed_over, self.half_listen)
        if len(self.ratings) != len(STARS):
            raise ParameterOutOfRange(f"there are {len(STARS)} ratings to reward, not {len(self.ratings)}")
        if not all(0 <= value <= 1 for value in (*self.ratings, *listens, *shown)):
            raise ParameterOutOfRange(f"a reward is a number from 0 to 1: {self}")
        if any(worse > better for row in (self.ratings, listens, shown) for worse, better in pairwise(row)):
            raise ParameterOutOfRange(f"what is better must not earn less: {self}")
        if not 1 <= self.told_counts < float("inf"):
            raise ParameterOutOfRange(f"told_counts is {self.told_counts}; what is told counts once or more")

    def reward(self, *, rating: int | None = None, heard: str | None = None, refused: bool = False) -> float:
        """Reward of one impression, 0..1: a refusal goes before a rating, and that before what was heard.

        rating : 1..5. heard : one of `HEARD`. Raises ParameterOutOfRange.
        """
        if rating is not None and rating not in STARS:
            raise ParameterOutOfRange(f"a rating is a whole number from 1 to 5, not {rating}")
        if heard is not None and heard not in HEARD:
            raise ParameterOutOfRange(f"a song is heard {', '.join(HEARD)} or not at all, not {heard!r}")
        if refused:
            return self.not_for_me
        if rating is not None:
            return self.ratings[rating - 1]
        rewards = dict(zip(HEARD, (self.full_listen, self.half_listen, self.early_skip), strict=True))
        return self.passed_over if heard is None else rewards[heard]

    def counts(self, *, rating: int | None = None, refused: bool = False) -> float:
        """How many impressions this one counts as."""
        return self.told_counts if refused or rating is not None else 1.0
