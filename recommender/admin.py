"""What the band did, for staff to read; publishing and rolling back are actions on a run."""

import json

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.forms.models import model_to_dict
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.admin import TabularInline

from quasimusic.admin import HouseAdmin, ReadOnly
from quasimusic.exceptions import QuasimusicError
from recommender.engines import ENGINES
from recommender.forms import CurveForm
from recommender.models import Curve, EngineFit, Evaluation, Failure, TrainingRun, Tuning, Weights
from recommender.services import evaluation as measuring
from recommender.services.curve import curve_in_force
from recommender.services.training import activate_run
from recommender.services.weights import weights_by_day

PICTURES = {
    "convergence": "The loss of each trial, and the best so far",
    "dependence": "How the loss depends on each parameter",
}
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"  # opened by itself, it runs and loads nothing


class EngineFitInline(ReadOnly, TabularInline):
    model = EngineFit
    fields = ("engine", "state", "ndcg", "recall", "took", "note")
    readonly_fields = ("ndcg", "recall", "took")
    extra = 0

    @admin.display(description="ndcg@10")
    def ndcg(self, fit):
        return _mean(fit.metrics, "ndcg")

    @admin.display(description="recall@10")
    def recall(self, fit):
        return _mean(fit.metrics, "recall")

    @admin.display(description="seconds")
    def took(self, fit):
        return f"{fit.seconds:.1f}"


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnly, HouseAdmin):
    list_display = ("__str__", "state", "is_active", "ndcg", "recall", "coverage", "started_at", "finished_at", "note")
    list_filter = ("state",)
    inlines = (EngineFitInline,)
    actions = ("publish",)

    @admin.display(description="ndcg@10")
    def ndcg(self, run):
        return _mean(run.metrics, "ndcg")

    @admin.display(description="recall@10")
    def recall(self, run):
        return _mean(run.metrics, "recall")

    @admin.display
    def coverage(self, run):
        return f"{run.metrics['coverage']:.1%}" if run.metrics else "-"

    def has_publish_permission(self, request):
        return request.user.has_perm("recommender.change_trainingrun")

    @admin.action(description="Publish: let this run's models serve", permissions=["publish"])
    def publish(self, request, queryset):
        if queryset.count() != 1:
            self.message_user(request, "Choose the one run that shall serve.", messages.WARNING)
            return
        try:
            activate_run(run=queryset.get())
        except QuasimusicError as fault:
            self.message_user(request, str(fault), messages.ERROR)
        else:
            self.message_user(request, "Published. Lists follow with the next refresh.", messages.SUCCESS)


@admin.register(Tuning)
class TuningAdmin(ReadOnly, HouseAdmin):
    list_display = ("__str__", "loss", "found", "made_at", "seed")
    list_filter = ("engine",)
    fields = ("engine", "made_at", "seed", "loss", "found")
    readonly_fields = ("loss", "found")
    change_form_after_template = "recommender/admin/tuning.html"

    def get_queryset(self, request):
        return super().get_queryset(request).defer(*PICTURES)

    def get_urls(self):
        picture = path(
            "<int:pk>/<str:name>.svg", self.admin_site.admin_view(self.picture), name="recommender_tuning_picture"
        )
        return [picture, *super().get_urls()]

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        context.update(pictures=PICTURES, trials=_trials(obj))
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def picture(self, request, pk, name):
        if not self.has_view_permission(request):
            raise PermissionDenied
        if name not in PICTURES:
            raise Http404
        search = get_object_or_404(Tuning, pk=pk)
        return HttpResponse(
            getattr(search, name),
            content_type="image/svg+xml",
            headers={"Content-Security-Policy": PICTURE_POLICY, "Cache-Control": "private, max-age=86400"},
        )

    @admin.display(description="best loss")
    def loss(self, search):
        return f"{min(trial['loss'] for trial in search.trials):.4f}"

    @admin.display(description="best parameters")
    def found(self, search):
        return _pairs((name, f"{value:.4g}") for name, value in search.best.items())


@admin.register(Weights)
class WeightsAdmin(ReadOnly, HouseAdmin):
    list_display = ("made_at", "strategy", "weights", "reward_means")
    list_filter = ("strategy",)
    list_before_template = "recommender/admin/weights.html"

    def changelist_view(self, request, extra_context=None):
        charts = {ENGINES[name].title: json.dumps(_lines(course)) for name, course in weights_by_day().items()}
        return super().changelist_view(request, {**(extra_context or {}), "charts": charts})

    @admin.display
    def weights(self, weights):
        return _pairs((engine, f"{value:.0%}") for engine, value in weights.values.items())

    @admin.display(description="mean rewards")
    def reward_means(self, weights):
        return _pairs((engine, f"{earned['mean']:.2f}") for engine, earned in weights.rewards.items())


@admin.register(Curve)
class CurveAdmin(HouseAdmin):
    """Rows are added, never changed: the newest is in force, the others say who had which before."""

    list_display = ("made_at", "made_by", "ratings", "plays", "others")
    list_select_related = ("made_by",)
    form = CurveForm

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def get_changeform_initial_data(self, request):
        return model_to_dict(curve_in_force(), self.form.base_fields)

    def save_model(self, request, obj, form, change):
        obj.made_at, obj.made_by = timezone.now(), request.user
        super().save_model(request, obj, form, change)

    @admin.display(description="rated 5 to 1")
    def ratings(self, curve):
        return _figures(curve, "rated_5", "rated_4", "rated_3", "rated_2", "rated_1")

    @admin.display(description="heard to the end, by half, left, passed over")
    def plays(self, curve):
        return _figures(curve, "full", "half", "skipped", "passed")

    @admin.display(description="loved, not for me")
    def others(self, curve):
        return _figures(curve, "loved", "refused")


@admin.register(Failure)
class FailureAdmin(ReadOnly, HouseAdmin):
    list_display = ("failed_at", "engine", "note")
    list_filter = ("engine",)


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnly, HouseAdmin):
    list_display = ("made_at", "protocol", "k", "best_engine", "hybrid")
    list_filter = ("protocol",)
    fields = ("made_at", "protocol", "seed", "k")
    change_form_after_template = "recommender/admin/evaluation.html"

    @admin.display(description="best engine, its ndcg")
    def best_engine(self, evaluation):
        figures = _last_stage(evaluation)
        name = measuring.best_engine(figures)
        return f"{name} {_mean(figures[name], 'ndcg')}"

    @admin.display(description="ndcg of the hybrid")
    def hybrid(self, evaluation):
        return _mean(_last_stage(evaluation)[measuring.HYBRID], "ndcg")

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        context.update(tables=[(stage, _table(figures)) for stage, figures in measuring.stages(obj).items()])
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)


def _figures(curve, *names):
    return " · ".join(f"{getattr(curve, name):g}" for name in names)


def _lines(course):
    """An engine's weight and mean reward by day, in percent, as the theme's charts take them; None leaves a gap."""
    told = (("weight", "weight", "primary-600"), ("mean_reward", "mean reward", "base-400"))
    scale = {"displayYAxis": True, "suffixYAxis": "%"}
    return {
        "labels": [f"{day.day:%d %b}" for day in course],
        "datasets": [
            {"label": label, "data": _percents(course, fact), "borderColor": f"var(--color-{colour})", **scale}
            for fact, label, colour in told
        ],
    }


def _percents(course, fact):
    values = (getattr(day, fact) for day in course)
    return [None if value is None else round(100 * value, 1) for value in values]


def _last_stage(evaluation):
    """The figures, of newcomers those after all they told."""
    return list(measuring.stages(evaluation).values())[-1]


def _table(figures):
    """A row for each metric, a column for each engine, as the theme's tables take it."""
    measured = measuring.measured(figures)
    metrics = [
        metric
        for metric in (*measuring.ACCURACY, *measuring.BEYOND, *measuring.STARS)
        if any(metric in each for each in measured.values())
    ]
    rows = []
    for metric in metrics:
        best = measuring.best(measured, metric)
        rows.append([metric.replace("_", " "), *(_cell(each.get(metric), best) for each in measured.values())])
    behind = [_interval(each["less_best"]["ndcg"]) for each in measured.values()]
    left_out = [f"{name} is left out: {each['left_out']}" for name, each in figures.items() if name not in measured]
    return {
        "headers": ["", *(name.replace("_", " ") for name in measured)],
        "rows": [*rows, ["ndcg less the best engine's", *behind]],
        "left_out": left_out,
    }


def _cell(figure, best):
    if figure is None:
        return "-"
    shown = _interval(figure) if isinstance(figure, dict) else f"{figure:.3f}"
    return format_html("<strong>{}</strong>", shown) if measuring.mean(figure) == best else shown


def _interval(figure):
    shown = (f"{figure[name]:.3f}" for name in ("mean", "low", "high"))
    return format_html("{}<br><small>{} to {}</small>", *shown)


def _trials(search):
    """What was tried, as a table in the order tried; the best is marked."""
    names = list(search.best)
    best = min(trial["loss"] for trial in search.trials)
    rows = [
        [
            number,
            *(f"{trial['params'][name]:.4g}" for name in names),
            f"{trial['loss']:.4f}{' (best)' if trial['loss'] == best else ''}",
        ]
        for number, trial in enumerate(search.trials, start=1)
    ]
    return {"headers": ["trial", *(name.replace("_", " ") for name in names), "loss"], "rows": rows}


def _mean(metrics, name):
    return f"{metrics[name]['mean']:.3f}" if metrics else "-"


def _pairs(pairs):
    return format_html_join(", ", "{} {}", pairs)
