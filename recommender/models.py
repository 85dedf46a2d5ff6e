from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from catalog.models import Song
from listening.models import Impression


class TrainingRunQuerySet(models.QuerySet):
    def hold(self) -> None:
        """Lock these runs until the transaction ends: which of them serves, and by what weights, changes one at a time.

        (On SQLite every transaction holds everything.)
        """
        list(self.select_for_update().values_list("pk"))


class TrainingRun(models.Model):
    """One training of the whole band; its number is its version."""

    class State(models.TextChoices):
        RUNNING = "running"
        READY = "ready", "ready to serve"
        REFUSED = "refused", "refused by the gate"
        FAILED = "failed"
        PRUNED = "pruned", "models deleted"

    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    is_active = models.BooleanField(default=False, help_text="The run whose models serve.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    seed = models.PositiveBigIntegerField()
    metrics = models.JSONField(default=dict, help_text="The hybrid's held-out metrics.")
    weights = models.JSONField(default=dict, help_text="Engine weights learned in this run.")
    tuned = models.JSONField(
        default=dict, help_text="Hyper-parameters found by search, by engine; handed on from run to run."
    )
    note = models.TextField(blank=True, help_text="Why it was refused or what failed.")

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        constraints = [
            models.UniqueConstraint(fields=("is_active",), condition=Q(is_active=True), name="one_active_run"),
            models.CheckConstraint(condition=Q(is_active=False) | Q(state="ready"), name="active_run_is_ready"),
        ]

    def __str__(self):
        return f"Run {self.pk}"


class EngineFit(models.Model):
    """One engine within a training run."""

    class State(models.TextChoices):
        FITTED = "fitted"
        KEPT = "kept", "kept from the run before"
        LEFT_OUT = "left out", "left out: a table is absent"
        FAILED = "failed"

    SERVING = (State.FITTED, State.KEPT)

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="fits")
    engine = models.CharField(max_length=20)
    state = models.CharField(max_length=10, choices=State.choices)
    params = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    seconds = models.FloatField(default=0)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ("pk",)
        constraints = [models.UniqueConstraint(fields=("run", "engine"), name="fit_once")]

    def __str__(self):
        return f"{self.engine} in {self.run}"


class Tuning(models.Model):
    """One search for an engine's hyper-parameters, and its pictures."""

    engine = models.CharField(max_length=20)
    made_at = models.DateTimeField()
    seed = models.PositiveBigIntegerField()
    best = models.JSONField(help_text="The parameters found.")
    trials = models.JSONField(help_text="Parameters and loss of every point tried, in order.")
    convergence = models.TextField(help_text="Picture (SVG): the best loss after each trial.")
    dependence = models.TextField(help_text="Picture (SVG): how the loss depends on each parameter.")

    class Meta:
        ordering = ("-pk",)
        verbose_name = "search for parameters"
        verbose_name_plural = "searches for parameters"

    def __str__(self):
        return f"{self.engine}, {len(self.trials)} trials"


class Evaluation(models.Model):
    """One measurement of the whole band on one split."""

    made_at = models.DateTimeField()
    protocol = models.CharField(max_length=20, help_text="How the held-out part was chosen.")
    seed = models.PositiveBigIntegerField()
    k = models.PositiveSmallIntegerField(help_text="Places of a list that were judged.")
    results = models.JSONField(help_text="Metrics by engine.")

    class Meta:
        ordering = ("-pk",)

    def __str__(self):
        return f"{self.protocol}, at {self.k}, seed {self.seed}"


class Weights(models.Model):
    """The music manager's weights from a moment on; the newest row is in force."""

    made_at = models.DateTimeField()
    strategy = models.CharField(max_length=20)
    values = models.JSONField(help_text="Weight of each engine; they sum to 1.")
    rewards = models.JSONField(default=dict, help_text="Reward and credited impressions of each engine so far.")

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "weights"

    def __str__(self):
        return ", ".join(f"{engine} {weight:.0%}" for engine, weight in self.values.items())


def _reward_of(default: float, told: str) -> models.FloatField:
    within = [MinValueValidator(0), MaxValueValidator(1)]
    return models.FloatField(default=default, validators=within, help_text=told)


TOLD = frozenset(set(Impression.Outcome) - {"full", "half", "skip", "passed"})  # in so many words, or stars


class Curve(models.Model):
    """What each outcome of showing a song is worth, 0 to 1. The newest row is in force, the others tell who changed
    what and when."""

    made_at = models.DateTimeField()
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    rated_5 = _reward_of(1.0, "Rated 5.")
    rated_4 = _reward_of(0.8, "Rated 4.")
    rated_3 = _reward_of(0.5, "Rated 3.")
    rated_2 = _reward_of(0.1, "Rated 2.")
    rated_1 = _reward_of(0.0, "Rated 1.")
    loved = _reward_of(1.0, "Loved.")
    refused = _reward_of(0.0, "Not for me.")
    full = _reward_of(0.9, "Heard to the end.")
    half = _reward_of(0.7, "Heard by half, or for four minutes.")
    skipped = _reward_of(0.1, "Begun and left.")
    passed = _reward_of(0.05, "Not played in the window.")
    told_counts = models.FloatField(
        default=3.0,
        validators=[MinValueValidator(1)],
        help_text="As how many impressions one counts that was rated, loved or refused: silence says little.",
    )

    class Meta:
        ordering = ("-pk",)
        verbose_name = "reward curve"

    def __str__(self):
        return f"Curve {self.pk}" if self.pk else "The curve of the house"

    def reward(self, outcome: str) -> float:
        return getattr(self, Impression.Outcome(outcome).name.lower())

    def counts(self, outcome: str) -> float:
        """As how many impressions one of this outcome counts."""
        return self.told_counts if outcome in TOLD else 1.0


class DailyReward(models.Model):
    """What an engine earned on a day from all listeners together; stays when the day's impressions are gone."""

    day = models.DateField(help_text="When the impressions were settled.")
    engine = models.CharField(max_length=20)
    impressions = models.PositiveIntegerField(default=0, help_text="How many it had a share of.")
    plays = models.PositiveIntegerField(default=0, help_text="How many of these were played.")
    credit = models.FloatField(default=0, help_text="Sum of its shares.")
    reward = models.FloatField(default=0, help_text="Sum of share times reward.")

    class Meta:
        ordering = ("-day", "engine")
        constraints = [models.UniqueConstraint(fields=("day", "engine"), name="daily_reward_once")]

    def __str__(self):
        return f"{self.engine} on {self.day}"


class ListenerReward(models.Model):
    """What an engine earned with one listener; half of it is forgotten with every half-life."""

    listener = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="engine_rewards")
    engine = models.CharField(max_length=20)
    credit = models.FloatField(default=0, help_text="Sum of its shares, as of then.")
    reward = models.FloatField(default=0, help_text="Sum of share times reward, as of then.")
    as_of = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=("listener", "engine"), name="listener_reward_once")]

    def __str__(self):
        return f"{self.engine} with {self.listener}"


class Board(models.Model):
    """A listener's mixing board: what they set over what was learned."""

    LOUDEST = 2.0

    listener = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="board")
    sliders = models.JSONField(default=dict, help_text="By engine, 0 to 2: how much louder or softer than learned.")
    novelty = models.FloatField(default=0, help_text="-1 is familiar, 1 is new.")
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(novelty__gte=-1, novelty__lte=1), name="board_novelty_range")]

    def __str__(self):
        return f"Board of {self.listener}"


class Movement(models.Model):
    """How one thing a listener did moved the weight of an engine in their mix."""

    listener = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="movements")
    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="+")
    outcome = models.CharField(max_length=10, choices=Impression.Outcome.choices)
    engine = models.CharField(max_length=20)
    before = models.FloatField()
    after = models.FloatField()
    moved_at = models.DateTimeField()

    class Meta:
        ordering = ("-pk",)
        indexes = [models.Index(fields=("listener", "-id"))]

    def __str__(self):
        return f"{self.engine} {self.before:.0%} -> {self.after:.0%}"


class LastList(models.Model):
    """A listener's mixed list as it was last made: what pages fall back on while the cache is empty or away."""

    listener = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="last_list"
    )
    list_id = models.CharField(max_length=40)
    made_at = models.DateTimeField()
    run_number = models.PositiveIntegerField()
    weights = models.JSONField()
    items = models.JSONField(help_text="Song id, reason and shares of each song, best first.")

    def __str__(self):
        return f"Last list of {self.listener}"


class Failure(models.Model):
    """An engine that was left out of the lists, and why."""

    engine = models.CharField(max_length=20)
    failed_at = models.DateTimeField()
    note = models.TextField()

    class Meta:
        ordering = ("-pk",)

    def __str__(self):
        return f"{self.engine}: {self.note}"
