from django.urls import path

from listening import views

urlpatterns = [
    path("history/", views.history, name="history"),
    path("plays/", views.plays, name="plays"),
    path("tastes/", views.picks, name="picks"),
    path("verdicts/", views.verdicts, name="verdicts"),
    path("verdicts/<str:of>/<int:pk>/", views.verdict, name="verdict"),
    path("songs/<int:pk>/rating", views.song_rating, name="song-rating"),
]
