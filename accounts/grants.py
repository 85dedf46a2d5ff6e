"""The groups and what each may do. `migrate` writes them, so a deployment always has today's grants."""

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission

LISTENERS = "Listeners"
EDITORS = "Catalogue editors"
ANALYSTS = "Analysts"
ADMINISTRATORS = "Administrators"

CATALOGUE = ("artist", "album", "genre", "mood", "song")
BAND = ("trainingrun", "enginefit", "tuning", "evaluation", "weights", "curve", "failure")


def _each(verbs: tuple[str, ...], app: str, models: tuple[str, ...]) -> set[str]:
    return {f"{app}.{verb}_{model}" for verb in verbs for model in models}


_LISTEN = (
    _each(("add",), "listening", ("play", "pick"))
    | _each(("add", "change", "delete"), "listening", ("rating",))
    | _each(("add", "delete"), "listening", ("verdict",))
    | {"recommender.change_board"}
)
_EDIT = _each(("add", "change", "delete", "view"), "catalog", CATALOGUE)
_ANALYSE = (
    _each(("view",), "catalog", CATALOGUE)
    | _each(("view",), "listening", ("play", "history", "rating", "verdict", "impression"))
    | _each(("view",), "recommender", BAND)
)
_ADMINISTER = (
    _EDIT
    | _ANALYSE
    | _each(("add", "change", "delete", "view"), "accounts", ("listener",))
    | {"auth.view_group", "recommender.change_trainingrun", "recommender.add_curve"}
)

GRANTS = {
    LISTENERS: _LISTEN,
    EDITORS: _LISTEN | _EDIT,
    ANALYSTS: _LISTEN | _ANALYSE,
    ADMINISTRATORS: _LISTEN | _ADMINISTER,
}


def write_grants(sender: AppConfig, using: str, **_kwargs: object) -> None:
    """After an app has migrated: give each group the grants that name this app's permissions."""
    permissions = Permission.objects.using(using).filter(content_type__app_label=sender.label)
    if not any(grant.startswith(f"{sender.label}.") for grants in GRANTS.values() for grant in grants):
        return
    by_name = {f"{sender.label}.{permission.codename}": permission for permission in permissions}
    for name, grants in GRANTS.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        # Only what changes is written: nobody loses a grant for a moment while the site is up.
        group.permissions.remove(*(by_name[grant] for grant in by_name.keys() - grants))
        group.permissions.add(*(by_name[grant] for grant in by_name.keys() & grants))
