"""Who may call the API. Apart from `quasimusic.api`, because DRF loads this before its own views."""

from rest_framework.permissions import DjangoModelPermissions


class SignedInWithPermission(DjangoModelPermissions):
    """Signed in, and holding the model permission for whatever changes rows."""

    def has_permission(self, request, view):
        if getattr(view, "queryset", None) is None:
            return bool(request.user and request.user.is_authenticated)
        return super().has_permission(request, view)
