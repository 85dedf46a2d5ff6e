import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from catalog.models import Song
from listening.models import Impression, Play, Verdict
from listening.services import rate_song, record_play
from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.feedback import RewardCurve
from recommender.models import Curve, DailyReward, ListenerReward, Movement, TrainingRun, Weights
from recommender.services import crediting, learning
from recommender.services.board import save_board
from recommender.services.crediting import listener_sums, overall_sums
from recommender.services.curve import check_curve
from recommender.services.impressions import prune_history
from recommender.services.replaying import replay_rewards, replay_strategy
from recommender.services.weights import learned_weights, mix


@pytest.fixture
def impressions(two_camps):
    """Four songs shown to one listener two hours ago: user_based spoke for two of them, relevance for the others."""
    shown_at = timezone.now() - timedelta(hours=2)
    Weights.objects.create(made_at=shown_at, strategy="uniform", values={"user_based": 0.5, "relevance": 0.5})
    return Impression.objects.bulk_create(
        Impression(
            listener=two_camps[0], song=song, list_id="a list", shelf="hybrid", rank=rank,
            shares={"user_based": 1.0} if rank <= 2 else {"relevance": 1.0}, run_number=1, shown_at=shown_at,
        )
        for rank, song in enumerate(Song.objects.all()[:4], start=1)
    )  # fmt: skip


def play(impression, seconds):
    return record_play(
        listener=impression.listener, song=impression.song, key=uuid.uuid4(), seconds_heard=seconds, source="home",
        started_at=timezone.now() - timedelta(hours=1), impression=impression,
    )  # fmt: skip


def rewards():
    return list(Impression.objects.order_by("rank").values_list("reward", flat=True))


def outcomes():
    return list(Impression.objects.order_by("rank").values_list("outcome", flat=True))


def earned_by_day():
    rows = DailyReward.objects.values_list("engine", "impressions", "plays", "credit", "reward")
    return {engine: tuple(sums) for engine, *sums in rows}


def earned_by_listener():
    return {row.engine: (row.credit, row.reward) for row in ListenerReward.objects.all()}


def test_what_listeners_do_is_rewarded_by_the_curve(impressions):
    rate_song(listener=impressions[0].listener, song=impressions[0].song, rating=5)
    play(impressions[1], seconds=16)
    play(impressions[2], seconds=2)
    assert learning.settle_impressions() == 3
    curve = Curve()
    assert rewards() == [curve.rated_5, curve.half, curve.skipped, None]
    assert outcomes() == ["rated 5", "half", "skip", ""]


def test_a_song_heard_to_the_end_earns_more_than_one_heard_by_half(impressions):
    play(impressions[0], seconds=29)
    play(impressions[1], seconds=16)
    learning.settle_impressions()
    assert outcomes()[:2] == ["full", "half"]
    assert rewards()[0] > rewards()[1]


@pytest.mark.parametrize("thing", ["song", "artist", "genre"])
def test_no_says_more_than_any_rating_and_counts_at_once(impressions, thing):
    shown = impressions[0]
    rate_song(listener=shown.listener, song=shown.song, rating=5)
    told = shown.song if thing == "song" else getattr(shown.song, thing)
    Verdict.objects.create(listener=shown.listener, kind="no", said_at=timezone.now(), **{thing: told})
    learning.settle_impressions()
    assert (outcomes()[0], rewards()[0]) == ("no", 0)


def test_love_is_rewarded_and_a_verdict_taken_back_says_nothing(impressions):
    for shown, ended in ((impressions[0], None), (impressions[1], timezone.now())):
        Verdict.objects.create(
            listener=shown.listener, song=shown.song, kind="love", said_at=timezone.now(), expires_at=ended
        )
    assert learning.settle_impressions() == 1
    assert outcomes()[0] == "love"


def test_a_song_played_from_another_page_was_shown_well_all_the_same(impressions):
    shown = impressions[0]
    record_play(
        listener=shown.listener, song=shown.song, key=uuid.uuid4(), seconds_heard=30, source="search",
        started_at=timezone.now() - timedelta(hours=1),
    )  # fmt: skip
    learning.settle_impressions()
    assert outcomes()[0] == "full"


def test_a_song_left_alone_is_passed_over_after_a_day(impressions, settings):
    assert learning.settle_impressions() == 0
    settings.SETTLE_HOURS = 1
    assert learning.settle_impressions() == 4
    assert outcomes() == ["passed"] * 4


def test_settling_one_listener_leaves_the_others_alone(impressions, two_camps, settings):
    settings.SETTLE_HOURS = 1
    assert learning.settle_impressions(listener_id=two_camps[1].pk) == 0
    assert learning.settle_impressions(listener_id=two_camps[0].pk) == 4


def test_settling_twice_changes_nothing(impressions):
    play(impressions[0], seconds=30)
    learning.settle_impressions()
    learning.learn_weights()
    before = rewards(), Weights.objects.count(), earned_by_day(), earned_by_listener()
    rate_song(listener=impressions[0].listener, song=impressions[0].song, rating=1)
    assert learning.settle_impressions() == 0
    assert learning.learn_weights() is None
    assert (rewards(), Weights.objects.count(), earned_by_day(), earned_by_listener()) == before


def test_many_batches_settle_and_credit_as_one_does(impressions, settings, monkeypatch):
    settings.SETTLE_HOURS = 1
    monkeypatch.setattr(learning, "AT_ONCE", 1)
    play(impressions[0], seconds=30)
    assert learning.settle_impressions() == 4
    full, passed = Curve().full, Curve().passed
    assert earned_by_day() == {
        "user_based": (2, 1, 2.0, pytest.approx(full + passed)),
        "relevance": (2, 0, 2.0, pytest.approx(2 * passed)),
    }


def test_what_is_earned_is_credited_to_the_engines_that_spoke(impressions, settings):
    settings.SETTLE_HOURS = 1
    impressions[0].shares = {"user_based": 0.75, "relevance": 0.25}
    impressions[0].save()
    play(impressions[0], seconds=30)
    learning.settle_impressions()
    full, passed = Curve().full, Curve().passed
    fan_club, top = pytest.approx(0.75 * full + passed), pytest.approx(0.25 * full + 2 * passed)
    assert earned_by_day() == {"user_based": (2, 1, 1.75, fan_club), "relevance": (3, 1, 2.25, top)}
    assert earned_by_listener() == {"user_based": (1.75, fan_club), "relevance": (2.25, top)}


def test_half_of_what_was_earned_is_forgotten_with_each_half_life(impressions, settings):
    play(impressions[0], seconds=30)
    learning.settle_impressions()
    listener, now = impressions[0].listener, timezone.now()
    month = timedelta(days=settings.REWARD_HALF_LIFE_DAYS)
    full = Curve().full
    fresh, old = (listener_sums([listener.pk], at)[listener.pk, "user_based"] for at in (now, now + 2 * month))
    assert fresh == pytest.approx((full, 1))
    assert old == pytest.approx((full / 4, 1 / 4), rel=1e-4)
    today = timezone.localdate()
    assert overall_sums(today)["user_based"] == pytest.approx((full, 1))
    assert overall_sums(today + month)["user_based"] == pytest.approx((full / 2, 1 / 2))


def test_what_is_earned_later_is_added_to_what_is_left(impressions, settings):
    play(impressions[0], seconds=30)
    learning.settle_impressions()
    ListenerReward.objects.update(as_of=timezone.now() - timedelta(days=settings.REWARD_HALF_LIFE_DAYS))
    play(impressions[1], seconds=30)
    learning.settle_impressions()
    full = Curve().full
    assert earned_by_listener()["user_based"] == pytest.approx((1.5, 1.5 * full), rel=1e-4)


def test_a_lesson_that_breaks_off_has_neither_settled_nor_credited(impressions, monkeypatch):
    play(impressions[0], seconds=30)

    def break_off(earned, day):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(crediting, "add_to_day", break_off)
        with pytest.raises(KeyboardInterrupt):
            learning.settle_impressions()
    assert rewards()[0] is None
    assert earned_by_listener() == {}
    assert learning.settle_impressions() == 1


@pytest.mark.django_db(transaction=True)
def test_two_learners_at_once_count_each_impression_once(impressions, two_camps, settings):
    settings.SETTLE_HOURS = 1
    songs = list(Song.objects.all())
    shown_at = timezone.now() - timedelta(hours=2)
    Impression.objects.bulk_create(
        Impression(
            listener=listener, song=song, list_id="many", shelf="hybrid", rank=1, run_number=1, shown_at=shown_at,
            shares={"user_based": 0.5, "relevance": 0.5},
        )
        for listener in two_camps
        for song in songs
    )  # fmt: skip
    expected = Impression.objects.count()
    start = threading.Barrier(3)

    def learn():
        start.wait()
        try:
            return learning.settle_impressions()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        counts = [future.result() for future in [pool.submit(learn) for _ in range(3)]]
    assert sum(counts) == expected
    assert not Impression.objects.filter(settled_at=None).exists()
    credit = dict(DailyReward.objects.values_list("engine").annotate(Sum("credit")))
    assert sum(credit.values()) == pytest.approx(expected)
    own = ListenerReward.objects.aggregate(Sum("credit"))["credit__sum"]
    assert own == pytest.approx(expected, rel=1e-5)


def test_the_curve_staff_last_saved_counts_from_then_on(impressions):
    rate_song(listener=impressions[0].listener, song=impressions[0].song, rating=3)
    learning.settle_impressions()
    Curve.objects.create(made_at=timezone.now(), rated_3=0.25)
    rate_song(listener=impressions[1].listener, song=impressions[1].song, rating=3)
    learning.settle_impressions()
    assert rewards()[:2] == [0.5, 0.25]


def test_replaying_under_the_same_curve_changes_nothing(impressions, capsys):
    settle_some(impressions)
    before = rewards(), earned_by_day(), earned_by_listener()
    call_command("replay_rewards")
    assert "0 rewards changed" in capsys.readouterr().out
    assert (rewards(), earned_by_day(), earned_by_listener()) == before


def test_replaying_under_another_curve_gives_what_it_would_have_given(impressions):
    settle_some(impressions)
    Curve.objects.create(made_at=timezone.now(), rated_5=0.9, full=0.6, half=0.5, told_counts=2)
    assert replay_rewards() == 2
    assert rewards()[:2] == [0.9, 0.6]
    assert earned_by_day()["user_based"] == (2, 1, pytest.approx(3), pytest.approx(2 * 0.9 + 0.6))
    assert earned_by_listener()["user_based"] == pytest.approx((3, 2 * 0.9 + 0.6), rel=1e-4)
    assert replay_rewards() == 0
    Curve.objects.create(made_at=timezone.now())
    replay_rewards()
    assert earned_by_day()["user_based"] == (2, 1, pytest.approx(4), pytest.approx(3 * 1 + 0.9))


def test_what_is_told_counts_as_several_that_are_only_heard(impressions):
    settle_some(impressions)
    assert list(Impression.objects.order_by("rank").values_list("counts", flat=True)) == [3, 1, 1, 1]
    assert earned_by_listener()["user_based"] == pytest.approx((4, 3 * 1 + 0.9), rel=1e-4)


def settle_some(impressions):
    rate_song(listener=impressions[0].listener, song=impressions[0].song, rating=5)
    play(impressions[1], seconds=30)
    learning.settle_impressions()


def test_old_impressions_go_and_what_they_earned_stays(impressions, settings, capsys):
    settle_some(impressions)
    earned = earned_by_day(), earned_by_listener()
    call_command("prune_history")
    assert Impression.objects.count() == 4
    long_ago = timezone.now() - timedelta(days=settings.IMPRESSION_DAYS + 1)
    Impression.objects.filter(pk=impressions[1].pk).update(settled_at=long_ago)
    for _ in range(2):
        call_command("prune_history")
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "Deleted: 1 impressions",
        "Deleted: 0 impressions",
    ]
    assert outcomes() == ["rated 5", "", ""]
    assert (earned_by_day(), earned_by_listener()) == earned
    assert Play.objects.get().impression is None


def test_of_old_weights_the_last_of_each_day_stays(impressions, settings):
    settings.IMPRESSION_DAYS = 10
    noon = timezone.localtime().replace(hour=12) - timedelta(days=20)
    for hours in (0, 1, 2, 24, 25):
        Weights.objects.create(made_at=noon + timedelta(hours=hours), strategy=str(hours), values={})
    prune_history()
    assert set(Weights.objects.values_list("strategy", flat=True)) == {"2", "25", "uniform"}


@pytest.mark.parametrize(
    "wrong", [{"rated_5": 1.1}, {"skipped": -0.1}, {"rated_4": 0.4}, {"full": 0.6}, {"loved": 0.5}, {"refused": 0.1}]
)
def test_a_curve_that_pays_less_for_more_is_refused(wrong):
    with pytest.raises(ParameterOutOfRange):
        check_curve(curve=Curve(**wrong))


def test_a_curve_nobody_touched_is_the_engine_rooms():
    assert check_curve(curve=Curve()) == RewardCurve()
    curve = Curve()
    assert [curve.reward(f"rated {stars}") for stars in (1, 2, 3, 4, 5)] == list(RewardCurve().ratings)


@pytest.fixture
def mixed(impressions):
    """The same impressions, from a list both engines mixed evenly; both have earned alike with others."""
    for engine in ("user_based", "relevance"):
        DailyReward.objects.create(day=timezone.localdate(), engine=engine, impressions=50, credit=50, reward=20)
    Impression.objects.update(weights={"user_based": 0.5, "relevance": 0.5})
    TrainingRun.objects.create(
        started_at=timezone.now(), seed=1, state="ready", is_active=True, weights={"user_based": 0.5, "relevance": 0.5}
    )
    return impressions


def test_a_bad_rating_moves_who_spoke_for_the_song_down_and_is_told(mixed):
    rate_song(listener=mixed[0].listener, song=mixed[0].song, rating=1)
    learning.settle_impressions()
    movement = Movement.objects.get()
    assert (movement.listener, movement.song, movement.outcome) == (mixed[0].listener, mixed[0].song, "rated 1")
    weights = learned_weights(listener_ids=[mixed[0].listener_id])[mixed[0].listener_id]
    assert movement.engine == "user_based"
    assert movement.before > movement.after == pytest.approx(weights["user_based"], rel=1e-3)


def test_one_act_on_several_shelves_is_told_once_and_silence_is_not_told(mixed, settings):
    settings.SETTLE_HOURS = 1
    Impression.objects.create(
        listener=mixed[0].listener, song=mixed[0].song, list_id="a list", shelf="user_based", rank=1, run_number=1,
        shares={"user_based": 1.0}, shown_at=mixed[0].shown_at,
    )  # fmt: skip
    rate_song(listener=mixed[0].listener, song=mixed[0].song, rating=5)
    assert learning.settle_impressions() == 5
    assert Movement.objects.count() == 1


def test_what_a_listener_does_moves_their_own_mix_and_everybodys_less(mixed, two_camps):
    rate_song(listener=mixed[0].listener, song=mixed[0].song, rating=1)
    learning.settle_impressions()
    own, other = two_camps[0].pk, two_camps[1].pk
    weights = learned_weights(listener_ids=[own, other])
    assert weights[own]["user_based"] < weights[other]["user_based"]
    assert weights[other]["user_based"] < 0.5
    overall = learning.learn_weights()
    assert overall.strategy == "thompson"
    assert overall.values == pytest.approx(weights[other])


def test_a_list_made_again_the_same_day_is_mixed_the_same_and_follows_the_sliders(mixed, two_camps):
    run, ids = TrainingRun.objects.get(), [listener.pk for listener in two_camps]
    engines = ["user_based", "relevance"]
    weights, leaning = mix(listener_ids=ids, run=run, engines=engines)
    assert (mix(listener_ids=ids[::-1], run=run, engines=engines)[0][::-1] == weights).all()
    assert len({tuple(row) for row in weights}) == len(ids)
    save_board(listener=two_camps[0], sliders={"user_based": 0}, novelty=0.5)
    moved, leaning = mix(listener_ids=ids, run=run, engines=engines)
    assert moved[0].tolist() == [0, 1]
    assert (moved[1:] == weights[1:]).all()
    assert leaning.tolist() == [-0.5] + [0] * (len(ids) - 1)


def test_replaying_the_strategy_that_was_logged_gives_the_mean_reward_and_one_that_hears_the_better_more(
    mixed, settings, capsys
):
    settings.SETTLE_HOURS = 1
    for shown in mixed[:2]:
        play(shown, seconds=30)
    learning.settle_impressions()
    logged = replay_strategy(name="uniform")
    assert logged.mean == pytest.approx(sum(rewards()) / 4)
    assert replay_strategy(name="thompson").mean > logged.mean
    call_command("replay", "--strategy", "accuracy")
    assert "accuracy: mean reward 0.4750, standard error" in capsys.readouterr().out


def test_replaying_without_impressions_says_what_is_missing(db):
    with pytest.raises(CommandError, match="have to be shown"):
        call_command("replay", "--strategy", "uniform")
