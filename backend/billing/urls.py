"""The routes of billing."""

from django.urls import path

from backend.billing import views

urlpatterns = [
    path("api/v1/billing/balance", views.BalanceView.as_view()),
    path("api/v1/billing/usage", views.UsageView.as_view()),
    path("api/v1/billing/prices", views.PricesView.as_view()),
    path("api/v1/billing/transactions", views.TransactionViewSet.as_view({"get": "list"})),
    path("api/v1/billing/transactions/<str:pk>", views.TransactionViewSet.as_view({"get": "retrieve"})),
]
