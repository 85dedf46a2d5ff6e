"""The reward curve: what staff saved, as the engine room takes it."""

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.feedback import RewardCurve
from recommender.models import Curve


def curve_in_force() -> Curve:
    """The one staff last saved; the house's own where they saved none."""
    return Curve.objects.first() or Curve()


def check_curve(*, curve: Curve) -> RewardCurve:
    """The curve as the engine room takes it. Raises ParameterOutOfRange where what is better earns less."""
    if curve.loved < max(curve.rated_5, curve.full):
        raise ParameterOutOfRange("what is loved must not earn less than a 5 or a song heard to the end")
    return RewardCurve(
        ratings=(curve.rated_1, curve.rated_2, curve.rated_3, curve.rated_4, curve.rated_5),
        full_listen=curve.full,
        half_listen=curve.half,
        early_skip=curve.skipped,
        passed_over=curve.passed,
        not_for_me=curve.refused,
        told_counts=curve.told_counts,
    )
