"""Our routes, then allauth's under ``/api/v1/auth/`` and ``/api/v1/account/``."""

from allauth.headless.constants import Client
from allauth.headless.urls import build_urlpatterns
from django.urls import URLPattern, URLResolver, include, path

from backend.accounts import flows, views

allauth_app: list[URLPattern | URLResolver] = [
    path("", include((build_urlpatterns(Client.APP), "headless"), namespace="app"))
]

urlpatterns: list[URLPattern | URLResolver] = [
    path(".well-known/jwks.json", views.jwks),
    path("api/v1/tokens/refresh", views.RefreshView.as_view()),
    path("api/v1/users/me", views.MeView.as_view()),
    path("api/v1/sessions", views.SessionViewSet.as_view({"get": "list", "delete": "destroy_others"})),
    path("api/v1/sessions/<str:pk>", views.SessionViewSet.as_view({"delete": "destroy"})),
    path("api/v1/workspaces", views.WorkspaceViewSet.as_view({"get": "list"})),
    path("api/v1/workspaces/<str:pk>", views.WorkspaceViewSet.as_view({"get": "retrieve"})),
    *(
        path(f"api/v1/{route}", view.as_api_view(client=Client.APP), name=name)
        for route, view, name in (  # Before allauth's own, under the same names.
            ("auth/signup", flows.SignupView, "signup"),
            ("auth/email/verify", flows.VerifyEmailView, "verify_email"),
            ("auth/password/request", flows.RequestPasswordResetView, "request_password_reset"),
            ("auth/password/reset", flows.ResetPasswordView, "reset_password"),
            ("auth/code/request", flows.RequestLoginCodeView, "request_login_code"),
            ("auth/code/confirm", flows.ConfirmLoginCodeView, "confirm_login_code"),
            ("auth/2fa/authenticate", flows.AuthenticateView, "authenticate"),
            ("auth/2fa/reauthenticate", flows.ReauthenticateView, "mfa_reauthenticate"),
            ("account/email", flows.ManageEmailView, "manage_email"),
        )
    ),
    path("api/", include((allauth_app, "headless"), namespace="headless")),
]
