from django.urls import path, re_path

from catalog import streaming, views

urlpatterns = [
    re_path(r"^covers/(?P<name>[sargm]\d{1,19})-(?P<sound>[0-9x]{5})\.svg$", views.cover, name="cover"),
    path("artists/<int:pk>/", views.artist, name="artist"),
    path("albums/<int:pk>/", views.album, name="album"),
    path("genres/", views.genres, name="genres"),
    path("genres/<str:slug>/", views.genre, name="genre"),
    path("moods/", views.moods, name="moods"),
    path("moods/<str:slug>/", views.mood, name="mood"),
    path("search/", views.search, name="search"),
    path("songs/<int:pk>/audio", streaming.song_audio, name="song-audio"),
]
