"""The routes of documents."""

from django.urls import path

from backend.documents.views import collections, contents, documents, events, search

DOCUMENT = "api/v1/documents/<str:pk>"
COLLECTION = "api/v1/collections/<str:pk>"

urlpatterns = [
    path("api/v1/documents", documents.DocumentViewSet.as_view({"get": "list", "post": "create"})),
    path("api/v1/documents/usage", documents.UsageView.as_view()),
    path(
        DOCUMENT,
        documents.DocumentViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path(f"{DOCUMENT}/content", contents.ContentView.as_view()),
    path(f"{DOCUMENT}/text", contents.TextView.as_view()),
    path(f"{DOCUMENT}/chunks", contents.ChunkListView.as_view()),
    path(f"{DOCUMENT}/chunks/<str:chunk>", contents.ChunkView.as_view()),
    path(f"{DOCUMENT}/pages/<int:page>.png", contents.PageImageView.as_view()),
    path(f"{DOCUMENT}/thumbnail.png", contents.ThumbnailView.as_view()),
    path(f"{DOCUMENT}/reprocess", documents.DocumentViewSet.as_view({"post": "reprocess"})),
    path(f"{DOCUMENT}/cancel", documents.DocumentViewSet.as_view({"post": "cancel"})),
    path(f"{DOCUMENT}/events", events.document_events),
    path("api/v1/collections", collections.CollectionViewSet.as_view({"get": "list", "post": "create"})),
    path(
        COLLECTION,
        collections.CollectionViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path(f"{COLLECTION}/documents", collections.CollectionViewSet.as_view({"post": "add", "delete": "remove"})),
    path("api/v1/search", search.SearchView.as_view()),
]
