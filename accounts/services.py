"""What makes and changes accounts outside of sign-up."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction

from accounts.grants import ADMINISTRATORS, LISTENERS
from accounts.models import Listener


@dataclass(frozen=True)
class ImportedListener:
    """A listener as a file names them; blank where the file says nothing."""

    source_id: str
    username: str = ""
    country: str = ""
    display_name: str = ""


@transaction.atomic
def make_staff(*, username: str, password: str) -> Listener:
    """A staff member who may do what Administrators may."""
    staff = Listener.objects.create_user(username=username, password=password, is_staff=True)
    staff.groups.set(Group.objects.filter(name__in=(ADMINISTRATORS, LISTENERS)))
    return staff


def listener_ids(*, source_ids: Iterable[str]) -> dict[str, int]:
    """Database ids of imported listeners by their id in the file; unknown ones are left out."""
    return dict(Listener.objects.filter(source_id__in=set(source_ids)).values_list("source_id", "pk"))


def taken_usernames(*, usernames: Mapping[str, str]) -> set[str]:
    """Of these usernames, by the source_id of who wants each, those that belong to somebody else."""
    owners = Listener.objects.filter(username__in=set(usernames.values())).values_list("username", "source_id")
    return {username for username, source_id in owners if usernames.get(source_id) != username}


def save_listeners(*, imported: Collection[ImportedListener]) -> tuple[int, int]:
    """Make the listeners that are not there yet and bring the others up to date; how many of each.

    Nobody is given a password: an imported listener logs in once one has been set.
    """
    wanted = {one.source_id: one for one in imported}
    known = Listener.objects.in_bulk(list(wanted), field_name="source_id")
    new = [one for one in wanted.values() if one.source_id not in known]
    changed = [listener for listener in known.values() if _brought_up_to_date(listener, wanted[listener.source_id])]
    _make(new)
    Listener.objects.bulk_update(changed, ["username", "country"], batch_size=500)
    return len(new), len(changed)


def _make(imported: list[ImportedListener]) -> None:
    made = Listener.objects.bulk_create(
        Listener(
            source_id=one.source_id,
            username=one.username or one.source_id,
            country=one.country,
            display_name=one.display_name,
            password=make_password(None),
        )
        for one in imported
    )
    group = Group.objects.get(name=LISTENERS)
    memberships = Listener.groups.through
    memberships.objects.bulk_create(memberships(listener_id=listener.pk, group_id=group.pk) for listener in made)


def _brought_up_to_date(listener: Listener, imported: ImportedListener) -> bool:
    """Take over what the file says; whether that changed anything."""
    before = (listener.username, listener.country.code)
    listener.username = imported.username or listener.username
    listener.country = imported.country or listener.country.code
    return before != (listener.username, listener.country.code)
