from django.urls import path

from recommender.api import RecommendationsView

urlpatterns = [path("recommendations/", RecommendationsView.as_view(), name="api-recommendations")]
