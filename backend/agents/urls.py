"""The routes of the agents service."""

from typing import Any

from django.urls import path

from backend.agents.views.agents import AgentViewSet, ModelListView
from backend.agents.views.conversations import ConversationViewSet, MessageViewSet
from backend.agents.views.events import run_events
from backend.agents.views.runs import RunViewSet
from backend.http.pagination import ShortListPagination

LIST: dict[str, Any] = {"get": "list", "post": "create"}
DETAIL: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    path("api/v1/models", ModelListView.as_view()),
    path("api/v1/agents", AgentViewSet.as_view(LIST)),
    path("api/v1/agents/<str:pk>", AgentViewSet.as_view(DETAIL)),
    path("api/v1/agents/<str:pk>/knowledge", AgentViewSet.as_view({"get": "knowledge", "put": "knowledge"})),
    path("api/v1/agents/<str:pk>/knowledge/search", AgentViewSet.as_view({"post": "search"})),
    path("api/v1/conversations", ConversationViewSet.as_view(LIST)),
    path("api/v1/conversations/<str:pk>", ConversationViewSet.as_view(DETAIL)),
    path("api/v1/conversations/<str:conversation>/messages", MessageViewSet.as_view({"get": "list"})),
    path("api/v1/conversations/<str:conversation>/runs", RunViewSet.as_view({"post": "create"})),
    path("api/v1/messages/<str:pk>/feedback", MessageViewSet.as_view({"put": "feedback"})),
    path("api/v1/runs", RunViewSet.as_view({"get": "list"})),
    path("api/v1/runs/<str:pk>", RunViewSet.as_view({"get": "retrieve"})),
    path("api/v1/runs/<str:pk>/steps", RunViewSet.as_view({"get": "steps"}, pagination_class=ShortListPagination)),
    path("api/v1/runs/<str:pk>/cancel", RunViewSet.as_view({"post": "cancel"})),
    path("api/v1/runs/<str:pk>/retry", RunViewSet.as_view({"post": "retry"})),
    path("api/v1/runs/<str:pk>/events", run_events),
]
