from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("account/", include("allauth.urls")),
    path("profile/", include("accounts.urls")),
    path("", include("catalog.urls")),
    path("", include("listening.urls")),
    path("", include("recommender.urls")),
    path("api/v1/", include("catalog.api_urls")),
    path("api/v1/", include("listening.api_urls")),
    path("api/v1/", include("recommender.api_urls")),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="schema"),
]

handler400 = "quasimusic.faults.bad_request"
handler403 = "quasimusic.faults.permission_denied"
handler404 = "quasimusic.faults.page_not_found"
handler500 = "quasimusic.faults.server_error"
