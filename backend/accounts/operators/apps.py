from django.contrib.admin.apps import AdminConfig


class OperatorAdminConfig(AdminConfig):
    """Django's admin, on our site."""

    default_site = "backend.accounts.operators.site.OperatorSite"
