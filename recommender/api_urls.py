from django.urls import path

from recommender.api import BoardView, RecommendationsView

urlpatterns = [
    path("recommendations/", RecommendationsView.as_view(), name="api-recommendations"),
    path("board/", BoardView.as_view(), name="api-board"),
]
