from rest_framework.routers import SimpleRouter

from catalog import api

router = SimpleRouter()
router.register("songs", api.SongViewSet, basename="api-song")
router.register("artists", api.ArtistViewSet, basename="api-artist")
router.register("albums", api.AlbumViewSet, basename="api-album")
router.register("genres", api.GenreViewSet, basename="api-genre")
router.register("moods", api.MoodViewSet, basename="api-mood")

urlpatterns = router.urls
