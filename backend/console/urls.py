from django.urls import path

from backend.console import views

urlpatterns = [path("", views.page, name="page")]
