"""Every setting, read from the environment and from nothing else.

A secret NAME may also be given as NAME_FILE, the path of a file that holds it.
`.env.example` lists every variable; `manage.py check --deploy` refuses development values in production.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ

env = environ.FileAwareEnv()

BASE_DIR = Path(__file__).resolve().parent.parent

# The process ----------------------------------------------------------------------------------------------------------
DEBUG: bool = env.bool("DEBUG", default=False)
SECRET_KEY: str = env.str("SECRET_KEY", default="development-only-secret-key-never-for-production")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
PUBLIC_URL: str = env.str("PUBLIC_URL", default="http://localhost:8000").rstrip("/")
DATA_DIR: Path = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var")))
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "corsheaders",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.headless",
    "backend.http",
    "backend.llm",
    "backend.accounts",
    "backend.billing",
    "backend.documents",
    "backend.agents",
    "backend.console",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "backend.urls"
WSGI_APPLICATION = "backend.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# PostgreSQL -----------------------------------------------------------------------------------------------------------
DATABASE_POOL_SIZE: int = env.int("DATABASE_POOL_SIZE", default=16)
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL", default="postgres://orquestra:orquestra@127.0.0.1:5432/orquestra")
}
DATABASES["default"]["CONN_MAX_AGE"] = 0  # The pool keeps connections; Django's own keeping would starve it.
DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"].get("OPTIONS", {}),
    "connect_timeout": 5,
    "prepare_threshold": None,  # Automatic prepared statements froze bad plans for search.
    "pool": {"min_size": 0, "max_size": DATABASE_POOL_SIZE, "timeout": 10, "max_idle": 60}
    if DATABASE_POOL_SIZE
    else False,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis ----------------------------------------------------------------------------------------------------------------
REDIS_URL: str = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 5},
    }
}

# Files ----------------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
MEDIA_ROOT = DATA_DIR / "files"

# Language and time ----------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("pt-br", "Português (Brasil)")]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# The REST edge --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Orquestra",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
}
DATA_UPLOAD_MAX_MEMORY_SIZE: int = 1024 * 1024  # Bytes of a body that is not a file.

# Accounts -------------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
JWT_PRIVATE_KEY: str = env.str("JWT_PRIVATE_KEY", default="", multiline=True)
JWT_ISSUER: str = env.str("JWT_ISSUER", default=PUBLIC_URL)
JWT_AUDIENCE: str = env.str("JWT_AUDIENCE", default="orquestra")
ACCESS_TOKEN_LIFETIME = timedelta(minutes=10)
REFRESH_TOKEN_LIFETIME = timedelta(days=env.int("REFRESH_TOKEN_DAYS", default=30))
REFRESH_GRACE = timedelta(seconds=30)  # How long the generation before the current one is still honoured.

# Billing --------------------------------------------------------------------------------------------------------------
CURRENCY: str = env.str("CURRENCY", default="USD")
SIGNUP_CREDIT: str = env.str("SIGNUP_CREDIT", default="0")

# Documents ------------------------------------------------------------------------------------------------------------
MAX_UPLOAD_BYTES: int = env.int("MAX_UPLOAD_BYTES", default=100 * 1024 * 1024)

# Agents and models ----------------------------------------------------------------------------------------------------
MODELS_FILE: Path = Path(env.str("MODELS_FILE", default=str(BASE_DIR / "models.toml")))
DEMO_CONTENT: bool = env.bool("DEMO_CONTENT", default=False)  # New workspaces get the guide and the demo agent.

# Celery ---------------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "backend.documents.tasks.ingest_document": {"queue": "documents"},
    "backend.agents.tasks.execute_run": {"queue": "agents"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {}
