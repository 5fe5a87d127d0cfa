"""The OpenAPI document and the page that browses it, its scripts and styles served from here."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

schema = SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[])
docs = SpectacularSwaggerView.as_view(url_name="schema", authentication_classes=[], permission_classes=[])
