from django.db import models
from django.db.models import Q


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
