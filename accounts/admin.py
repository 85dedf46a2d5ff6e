"""Accounts and groups, for administrators. Only a superuser makes or touches superusers."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.models import Listener
from quasimusic.admin import HouseAdmin, TakesItsRecords

ALL_POWERS = ("is_superuser", "user_permissions")


@admin.register(Listener)
class ListenerAdmin(TakesItsRecords, UserAdmin, HouseAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "display_name", "email", "country", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    search_fields = ("username", "display_name", "email")
    readonly_fields = ("source_id", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Profile", {"fields": ("display_name", "email", "country")}),
        ("May", {"fields": ("is_active", "is_staff", "groups", "is_superuser", "user_permissions")}),
        ("Dates and origin", {"fields": ("last_login", "date_joined", "source_id")}),
    )

    def get_readonly_fields(self, request, obj=None):
        powers = () if request.user.is_superuser else ALL_POWERS
        return (*super().get_readonly_fields(request, obj), *powers)

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request, obj=None):
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def get_deleted_objects(self, objs, request):
        named, counts, needed, protected = super().get_deleted_objects(objs, request)
        if not all(self._may_touch(request, listener) for listener in objs):
            needed = {"superuser"}
        return named, counts, needed, protected

    def _may_touch(self, request, listener):
        return request.user.is_superuser or not (listener and listener.is_superuser)


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, HouseAdmin):
    """The house's own groups get their grants from `accounts.grants` at each migrate; others are the superuser's."""
