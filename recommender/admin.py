"""What the band did, for staff to read; publishing and rolling back are actions on a run."""

from django.contrib import admin, messages
from django.utils.html import format_html_join
from unfold.admin import TabularInline

from quasimusic.admin import HouseAdmin, ReadOnly
from quasimusic.exceptions import QuasimusicError
from recommender.models import EngineFit, TrainingRun, Weights
from recommender.services.training import activate_run


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


@admin.register(Weights)
class WeightsAdmin(ReadOnly, HouseAdmin):
    list_display = ("made_at", "strategy", "weights", "reward_means")
    list_filter = ("strategy",)

    @admin.display
    def weights(self, weights):
        return _pairs((engine, f"{value:.0%}") for engine, value in weights.values.items())

    @admin.display(description="mean rewards")
    def reward_means(self, weights):
        return _pairs((engine, f"{earned['mean']:.2f}") for engine, earned in weights.rewards.items())


def _mean(metrics, name):
    return f"{metrics[name]['mean']:.3f}" if metrics else "-"


def _pairs(pairs):
    return format_html_join(", ", "{} {}", pairs)
