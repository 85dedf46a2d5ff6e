from django.urls import path

from recommender import views

urlpatterns = [
    path("", views.home, name="home"),
    path("board/", views.board, name="board"),
    path("songs/<int:pk>/", views.song, name="song"),
]
