from rest_framework.routers import SimpleRouter

from listening import api

router = SimpleRouter()
router.register("plays", api.PlayViewSet, basename="api-play")
router.register("ratings", api.RatingViewSet, basename="api-rating")
router.register("verdicts", api.VerdictViewSet, basename="api-verdict")
router.register("history", api.HistoryViewSet, basename="api-history")

urlpatterns = router.urls
