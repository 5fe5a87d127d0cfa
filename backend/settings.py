"""Every setting. The environment is the only source.

A secret NAME may also be given as NAME_FILE, the path of a file that contains it.
`.env.example` lists every variable; `manage.py check --deploy` refuses development values in production.
"""

import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from backend.celery import app as celery_app  # noqa: F401  # Tasks bind to it wherever settings are read.
from backend.process import hide_from_other_processes

hide_from_other_processes()  # Every process that reads settings contains passwords and keys from here on.

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
EVERY_SERVICE = ("accounts", "agents", "documents", "billing")
SERVICES: list[str] = [name.strip() for name in env.list("SERVICES", default=[])] or list(EVERY_SERVICE)
if unknown := sorted(set(SERVICES) - set(EVERY_SERVICE)):
    raise ImproperlyConfigured(f"SERVICES names {', '.join(unknown)}; there are {', '.join(EVERY_SERVICE)}.")

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "backend.accounts.operators.apps.OperatorAdminConfig",
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
    "backend.server",
    "backend.http",
    "backend.llm",
    "backend.accounts",
    "backend.billing",
    "backend.documents",
    "backend.agents",
    "backend.console",
]

MIDDLEWARE = [
    "backend.server.request_id.request_id_middleware",
    "backend.server.logs.access_log_middleware",
    "backend.server.metrics.metrics_middleware",
    "backend.http.errors.ProblemMiddleware",
    "backend.http.headers.security_headers_middleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "backend.http.errors.early_error_middleware",
    "backend.http.limits.AuthLimitsMiddleware",
    "backend.accounts.operators.middleware.OperatorSessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "backend.http.methods.MethodMiddleware",
]
# Of the routes whose views are asynchronous (backend/server/async_views.py): the same order, without cookies and forms.
ASYNC_MIDDLEWARE = [
    "backend.server.request_id.request_id_middleware",
    "backend.server.logs.access_log_middleware",
    "backend.server.metrics.metrics_middleware",
    "backend.http.errors.AsyncProblemMiddleware",
    "backend.http.headers.security_headers_middleware",
    "backend.server.async_views.AsyncSecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "backend.server.async_views.AsyncLocaleMiddleware",
    "backend.server.async_views.AsyncCommonMiddleware",
]
SILENCED_SYSTEM_CHECKS = ["security.W008"]  # The gateway redirects to https.
if "accounts" not in SERVICES:  # Only accounts serves log-ins, forms, pages and static files.
    MIDDLEWARE.remove("whitenoise.middleware.WhiteNoiseMiddleware")
    MIDDLEWARE.remove("backend.http.limits.AuthLimitsMiddleware")
    MIDDLEWARE.remove("backend.accounts.operators.middleware.OperatorSessionMiddleware")
    MIDDLEWARE.remove("django.middleware.csrf.CsrfViewMiddleware")
    MIDDLEWARE.remove("django.contrib.auth.middleware.AuthenticationMiddleware")
    MIDDLEWARE.remove("django.contrib.messages.middleware.MessageMiddleware")
    # The admin is not served, but its app is installed and its checks require them. allauth requires its own.
    SILENCED_SYSTEM_CHECKS += ["admin.E408", "admin.E409", "admin.E410"]

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
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # No request fails after a restart of PostgreSQL.
DATABASES["default"]["CONN_MAX_AGE"] = 0  # The pool keeps connections; persistent ones would exhaust it.
# Time limits of every session, enforced by PostgreSQL, in seconds; 0 is none. Workers have longer statements.
DATABASE_STATEMENT_SECONDS: float = env.float("DATABASE_STATEMENT_SECONDS", default=15.0)
DATABASE_WORKER_STATEMENT_SECONDS: float = env.float("DATABASE_WORKER_STATEMENT_SECONDS", default=300.0)
DATABASE_LOCK_SECONDS: float = env.float("DATABASE_LOCK_SECONDS", default=3.0)  # Waiting for a lock.
DATABASE_IDLE_SECONDS: float = env.float("DATABASE_IDLE_SECONDS", default=60.0)  # Between statements of a transaction.


def _session_options(*, statement_seconds: float) -> str:
    """The options of each new connection, in the syntax of libpq's ``options``.

    Without a limit, one open transaction that locks a row would block every thread that needs the row.
    """
    limits = {
        "statement_timeout": statement_seconds,
        "lock_timeout": DATABASE_LOCK_SECONDS,
        "idle_in_transaction_session_timeout": DATABASE_IDLE_SECONDS,
    }
    return " ".join(f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items() if seconds)


DATABASE_SESSION_OPTIONS = _session_options(statement_seconds=DATABASE_STATEMENT_SECONDS)
DATABASE_WORKER_SESSION_OPTIONS = _session_options(statement_seconds=DATABASE_WORKER_STATEMENT_SECONDS)
_options = DATABASES["default"].get("OPTIONS", {})
DATABASES["default"]["OPTIONS"] = {
    **_options,
    # The limits come first, so that options in DATABASE_URL win.
    "options": f"{DATABASE_SESSION_OPTIONS} {_options.get('options', '')}".strip(),
    "connect_timeout": 5,
    # Only statements of backend/db/sql.py are prepared: automatic preparation kept bad plans for search.
    "prepare_threshold": sys.maxsize if env.bool("DATABASE_PREPARED", default=True) else None,
    # One connection that was not needed for ``max_idle`` seconds closes per such period.
    "pool": {"min_size": 0, "max_size": DATABASE_POOL_SIZE, "timeout": 10, "max_idle": 10}
    if DATABASE_POOL_SIZE
    else False,
}
# The connection of `migrate`: without limits and pool, and as the role that owns the tables, if that is another one.
_owner = env.db_url("MIGRATION_DATABASE_URL") if env.str("MIGRATION_DATABASE_URL", default="") else {}
MIGRATION_DATABASE: dict[str, Any] = {
    **{name: value for name, value in _owner.items() if name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")},
    "OPTIONS": {**(_owner.get("OPTIONS", {}) if _owner else _options), "connect_timeout": 5},
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
WHITENOISE_USE_FINDERS = True  # Files are served from the packages; no collectstatic.
MEDIA_ROOT = DATA_DIR / "files"

# Language and time ----------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("pt-br", "Português (Brasil)")]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# The REST edge --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_SCHEMA_CLASS": "backend.http.openapi.operations.Contract",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["backend.http.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "backend.http.pagination.CursorPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "backend.http.problems.exception_handler",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "backend.http.negotiation.LenientNegotiation",
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_AUTHENTICATION_CLASSES": ["backend.accounts.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Orquestra",
    "DESCRIPTION": "Accounts, documents, agents and prepaid billing behind one API. Refusals are problem documents.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVERS": [{"url": "/", "description": "The host that this document comes from."}],
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": False, "displayRequestDuration": True},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "backend.http.openapi.streams.add_streams",
        "backend.accounts.schema.add_accounts",
        "backend.billing.schema.add_billing",
        "backend.documents.schema.add_documents",
        "backend.agents.schema.add_agents",
        "backend.http.openapi.conventions.add_conventions",
    ],
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "InterfaceLanguageEnum": LANGUAGES,
        "TransactionKindEnum": "backend.billing.models.Transfer.Kind",
        "ModelKindEnum": ["chat", "embedding"],
        "DocumentLanguageEnum": "backend.documents.models.Language",
        "RetrievalModeEnum": "backend.agents.models.agents.Knowledge.Mode",
        "SearchModeEnum": ["hybrid", "lexical"],
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE: int = 1024 * 1024  # Bytes of a body that is not a file.
CSRF_FAILURE_VIEW = "backend.http.errors.csrf_failure"
WEB_THREADS: int = env.int("WEB_THREADS", default=16)  # Of one web process; each works on one request at a time.
# Of them, requests that start runs: others use the CPU while one waits for PostgreSQL. Measured with 16 clients and one
# process: 4 start about twice as many runs a second as 1, with PostgreSQL beside the process and 1.5 ms away.
QUESTIONS_AT_ONCE: int = env.int("QUESTIONS_AT_ONCE", default=4)
# The minimum rate at which a client sends a body and reads a response: bytes per second on average, after a grace
# period, and the maximum of seconds in all. A slower client gets 408 or loses its connection.
CLIENT_MIN_BYTES_PER_SECOND: int = env.int("CLIENT_MIN_BYTES_PER_SECOND", default=4096)
CLIENT_GRACE_SECONDS: float = env.float("CLIENT_GRACE_SECONDS", default=10.0)
CLIENT_MAX_SECONDS: float = env.float("CLIENT_MAX_SECONDS", default=3600.0)
# Concurrent, per account, over all processes.
UPLOADS_PER_USER: int = env.int("UPLOADS_PER_USER", default=8)
DOWNLOADS_PER_USER: int = env.int("DOWNLOADS_PER_USER", default=16)
STREAMS_PER_USER: int = env.int("STREAMS_PER_USER", default=50)
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")  # Prometheus's bearer token; empty: by address.
# Log-ins, sign-ups and codes per client address; "off" is for benchmarks.
AUTH_RATE_LIMIT: str = env.str("AUTH_RATE_LIMIT", default="30/min")
REFRESH_RATE_LIMIT: str = env.str("REFRESH_RATE_LIMIT", default="120/min")  # Per client address.
CORS_ALLOW_HEADERS = [
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "orquestra-workspace",
    "x-request-id",
    "x-session-token",
]
CORS_EXPOSE_HEADERS = [
    "Content-Disposition",
    "Content-Language",
    "Location",
    "Orquestra-Run",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
]
CORS_PREFLIGHT_MAX_AGE = 3600
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
HTTPS: bool = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_PATH = "/admin/"  # Only operators have this cookie; the API uses none.
SESSION_ENGINE = "backend.accounts.states"
SECURE_HSTS_SECONDS: int = env.int("SECURE_HSTS_SECONDS", default=0)

# Logging --------------------------------------------------------------------------------------------------------------
LOG_FORMAT: str = env.str("LOG_FORMAT", default="console")  # "console" or "json", on standard error.
LOG_LEVEL: str = env.str("LOG_LEVEL", default="INFO").upper()
LOG_FILE: str = env.str("LOG_FILE", default="")  # JSON lines, in addition to standard error.
LOGGING_CONFIG = "backend.server.logs.configure"
LOGGING = {"format": LOG_FORMAT, "level": LOG_LEVEL, "file": LOG_FILE}
DJANGO_STRUCTLOG_CELERY_ENABLED = True
# Debug: sweeps run every few seconds and log their results themselves.
DJANGO_STRUCTLOG_CELERY_DEFAULT_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_CELERY_TASK_FAILURE_LOG_LEVEL = logging.ERROR

# Accounts -------------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["backend.accounts.backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["backend.accounts.hashers.Argon2id"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
JWT_PRIVATE_KEY: str = env.str("JWT_PRIVATE_KEY", default="", multiline=True)  # An RSA key in PEM form.
JWT_PREVIOUS_PUBLIC_KEYS: str = env.str("JWT_PREVIOUS_PUBLIC_KEYS", default="", multiline=True)  # PEM after PEM.
JWT_ISSUER: str = env.str("JWT_ISSUER", default=PUBLIC_URL)
JWT_AUDIENCE: str = env.str("JWT_AUDIENCE", default="orquestra")
ACCESS_TOKEN_LIFETIME = timedelta(minutes=10)
REFRESH_TOKEN_LIFETIME = timedelta(days=env.int("REFRESH_TOKEN_DAYS", default=30))
REFRESH_GRACE = timedelta(seconds=30)  # How long the previous generation stays valid.
REVOCATION_REQUIRED_PATHS = ("/api/v1/billing/",)  # Refused even for reading while revocations cannot be read.
SIMPLE_JWT: dict[str, Any] = {
    "ALGORITHM": "RS256",
    "USER_ID_CLAIM": "sub",
    "AUTH_TOKEN_CLASSES": ["backend.accounts.tokens.AccessToken"],
}
FRONTEND_URL: str = env.str("FRONTEND_URL", default=PUBLIC_URL).rstrip("/")  # The base address of links in e-mails.
EMAIL_VERIFICATION: str = env.str("EMAIL_VERIFICATION", default="none")  # none, optional or mandatory.
EMAIL_BACKEND = "backend.accounts.filebased.EmailBackend"
EMAIL_FILE_PATH = DATA_DIR / "mail"
if env.str("EMAIL_URL", default=""):
    vars().update(env.email_url("EMAIL_URL"))  # Such as smtp+tls://user:password@mail.example.com:587.
if EMAIL_BACKEND == "django.core.mail.backends.filebased.EmailBackend":
    EMAIL_BACKEND = "backend.accounts.filebased.EmailBackend"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="Orquestra <no-reply@localhost>")
ACCOUNT_ADAPTER = "backend.accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = EMAIL_VERIFICATION
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True  # Only in the flow of the sign-up.
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "backend.accounts.reset_tokens.ResetTokens"  # noqa: S105 — a class.
ACCOUNT_EMAIL_NOTIFICATIONS = True  # Our adapter selects those that are sent.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = True  # Our adapter takes as long as for known accounts, and sends none.
ACCOUNT_RATE_LIMITS = {
    "signup": "",  # AUTH_RATE_LIMIT counts these, without races.
    "login": "",
    # ``backend.accounts.throttles`` counts these, so that no stranger can use an owner's up.
    "login_failed": "",
    "reset_password": "",
    "request_login_code": "",
    "confirm_email": "",
}
HEADLESS_ONLY = True
HEADLESS_CLIENTS = ("app",)
HEADLESS_ADAPTER = "backend.accounts.adapter.HeadlessAdapter"
HEADLESS_TOKEN_STRATEGY = "backend.accounts.strategy.SessionStrategy"  # noqa: S105 — a class.
HEADLESS_FRONTEND_URLS = {
    "account_signup": f"{FRONTEND_URL}/",
    "account_confirm_email": f"{FRONTEND_URL}/#/verify-email/{{key}}",
    "account_reset_password": f"{FRONTEND_URL}/#/reset-password",
    "account_reset_password_from_key": f"{FRONTEND_URL}/#/reset-password/{{key}}",
    "socialaccount_login_error": f"{FRONTEND_URL}/#/log-in",
}

# Billing --------------------------------------------------------------------------------------------------------------
CURRENCY: str = env.str("CURRENCY", default="USD")  # ISO 4217; of new wallets and of every price in MODELS_FILE.
SIGNUP_CREDIT: str = env.str("SIGNUP_CREDIT", default="0")  # Of new workspaces, in CURRENCY, such as 5.00.

# Documents ------------------------------------------------------------------------------------------------------------
# Of the documents of a workspace; deleting frees the quota at once.
WORKSPACE_STORAGE_BYTES: int = env.int("WORKSPACE_STORAGE_BYTES", default=5 * 1024 * 1024 * 1024)
WORKSPACE_DOCUMENTS: int = env.int("WORKSPACE_DOCUMENTS", default=10_000)
MAX_UPLOAD_BYTES: int = env.int("MAX_UPLOAD_BYTES", default=100 * 1024 * 1024)
MAX_DOCUMENT_PAGES: int = env.int("MAX_DOCUMENT_PAGES", default=5_000)
MAX_DOCUMENT_CHARACTERS: int = env.int("MAX_DOCUMENT_CHARACTERS", default=20_000_000)
MAX_UNPACKED_BYTES: int = env.int("MAX_UNPACKED_BYTES", default=200_000_000)  # Of a DOCX, which is an archive.
STORAGE_BACKEND: str = env.str("STORAGE_BACKEND", default="folder")  # "folder" (DATA_DIR/files) or "s3".
S3_BUCKET: str = env.str("S3_BUCKET", default="orquestra")
S3_REGION: str = env.str("S3_REGION", default="us-east-1")
S3_ENDPOINT_URL: str = env.str("S3_ENDPOINT_URL", default="")  # For this server; empty for AWS.
S3_PUBLIC_ENDPOINT_URL: str = env.str("S3_PUBLIC_ENDPOINT_URL", default="")  # For browsers, if it differs.
S3_ACCESS_KEY: str = env.str("S3_ACCESS_KEY", default="")
S3_SECRET_KEY: str = env.str("S3_SECRET_KEY", default="")
INGESTION_BATCH_PAGES: int = env.int("INGESTION_BATCH_PAGES", default=16)  # The maximum that a dead worker loses.
INGESTION_LEASE_SECONDS: float = env.float("INGESTION_LEASE_SECONDS", default=30.0)
PARSER_ISOLATION: str = env.str("PARSER_ISOLATION", default="available")  # The layers of this machine; or strict.
PARSER_MEMORY_BYTES: int = env.int("PARSER_MEMORY_BYTES", default=1024 * 1024 * 1024)  # Address space per document.
# A batch ends after these seconds even with fewer pages; the worker then checks whether another document is due.
INGESTION_TURN_SECONDS: float = env.float("INGESTION_TURN_SECONDS", default=1.0)
INGESTIONS_PER_WORKSPACE: int = env.int("INGESTIONS_PER_WORKSPACE", default=2)  # Concurrent.
PARSER_CPU_SECONDS: int = env.int("PARSER_CPU_SECONDS", default=30)  # To open a file, or to read one without pages.
PARSER_PAGE_CPU_SECONDS: int = env.int("PARSER_PAGE_CPU_SECONDS", default=10)  # A page that takes more is left out.
PARSER_BATCH_SECONDS: float = env.float("PARSER_BATCH_SECONDS", default=60.0)  # Wall clock per batch.
# Of one document, over all batches, attempts and workers.
PARSER_DOCUMENT_CPU_SECONDS: float = env.float("PARSER_DOCUMENT_CPU_SECONDS", default=180.0)
PARSER_DOCUMENT_SECONDS: float = env.float("PARSER_DOCUMENT_SECONDS", default=600.0)  # Wall clock.
RECONCILE_SECONDS = 330.0  # One of the 256 folders of the storage at a time: each once a day.
RENDER_CPU_SECONDS: int = env.int("RENDER_CPU_SECONDS", default=2)  # Of one page as a picture.
# Of all pages of a workspace; a typical page takes a twentieth of a second.
RENDER_CPU_SECONDS_PER_MINUTE: float = env.float("RENDER_CPU_SECONDS_PER_MINUTE", default=20.0)
RENDER_SECONDS: float = env.float("RENDER_SECONDS", default=8.0)  # Wall clock.
RENDERINGS_PER_WORKSPACE: int = env.int("RENDERINGS_PER_WORKSPACE", default=2)  # At the same time.
SEARCHES_PER_WORKSPACE: int = env.int("SEARCHES_PER_WORKSPACE", default=4)  # At the same time.
SEARCH_SECONDS: float = env.float("SEARCH_SECONDS", default=5.0)  # A longer search is cancelled.
SEARCH_EXACT_CHUNKS: int = env.int("SEARCH_EXACT_CHUNKS", default=5_000)  # Above it, a task counts.

# Agents and models ----------------------------------------------------------------------------------------------------
MODELS_FILE: Path = Path(env.str("MODELS_FILE", default=str(BASE_DIR / "models.toml")))
DEMO_CONTENT: bool = env.bool("DEMO_CONTENT", default=False)  # New workspaces get the guide and the demo agent.
RUN_MAX_STEPS: int = env.int("RUN_MAX_STEPS", default=4)  # Provider requests of one run; an agent may set its own.
RUN_MAX_OUTPUT_TOKENS: int = env.int("RUN_MAX_OUTPUT_TOKENS", default=2048)  # Of one request; an agent may set its own.
RUN_TIMEOUT_SECONDS: int = env.int("RUN_TIMEOUT_SECONDS", default=300)  # From start to end; an agent may set its own.
RUN_QUEUE_SECONDS: int = env.int("RUN_QUEUE_SECONDS", default=3600)  # A run that no worker has claimed by then fails.
RUNS_PER_WORKSPACE: int = env.int("RUNS_PER_WORKSPACE", default=100)  # Unfinished; more are refused.
RUNS_AT_ONCE_PER_WORKSPACE: int = env.int("RUNS_AT_ONCE_PER_WORKSPACE", default=16)  # Executing; the others wait.
RUN_INPUT_CHARACTERS: int = env.int("RUN_INPUT_CHARACTERS", default=32_000)  # Of a question.
RUN_PROVIDER_RETRIES: int = env.int("RUN_PROVIDER_RETRIES", default=2)  # Only before readers got any of the answer.
RUN_LEASE_SECONDS: float = env.float("RUN_LEASE_SECONDS", default=20.0)  # Until a silent worker counts as dead.
RUN_SWEEP_SECONDS: float = env.float("RUN_SWEEP_SECONDS", default=10.0)  # Between two sweeps for dead workers.
# Until a queued run is notified again. The second name is its old one, read for one more release.
RUN_NOTIFY_SECONDS: float = env.float("RUN_NOTIFY_SECONDS", default=env.float("RUN_DOORBELL_SECONDS", default=30.0))
RUN_DRAIN_SECONDS: float = env.float("RUN_DRAIN_SECONDS", default=5.0)  # For runs to end when their worker shuts down.
RUN_STREAM_SECONDS: int = env.int("RUN_STREAM_SECONDS", default=3600)  # For which events are kept after the run.

# The admin ------------------------------------------------------------------------------------------------------------
OPERATOR_SECOND_FACTOR: str = env.str("OPERATOR_SECOND_FACTOR", default="optional")  # Or "required".
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Orquestra",
    "SITE_HEADER": "Orquestra",
    "SITE_ICON": "/static/console/mark.svg",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/console/mark.svg"}],
    "STYLES": ["/static/accounts/admin.css"],
    "BORDER_RADIUS": "10px",
    "DASHBOARD_CALLBACK": "backend.console.dashboard.figures",
    "SIDEBAR": {"show_search": True, "navigation": "backend.console.dashboard.navigation"},
    "COLORS": {  # The colours of the page.
        "primary": {
            "50": "#fbf3f5",
            "100": "#f6e9ec",
            "200": "#eccfd7",
            "300": "#e5aabb",
            "400": "#e58aa3",
            "500": "#d0718c",
            "600": "#7b1e3a",
            "700": "#6b1932",
            "800": "#56142a",
            "900": "#3a1f28",
            "950": "#2a121b",
        },
        "base": {
            "50": "#fbfaf7",
            "100": "#f5f2ed",
            "200": "#e7e2da",
            "300": "#d5cdc3",
            "400": "#a79c94",
            "500": "#6b625c",
            "600": "#534b46",
            "700": "#403833",
            "800": "#37302c",
            "900": "#211c1a",
            "950": "#171412",
        },
    },
}

# Celery ---------------------------------------------------------------------------------------------------------------
# Celery has its own URL syntax for a Unix socket and the number of a database on it.
CELERY_BROKER_URL = REDIS_URL
if REDIS_URL.startswith("unix://"):
    CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # A task is a notification; late acknowledgements crash a threads worker without Redis.
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
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_DB_REUSE_MAX = 2**62  # Celery never closes the pool: tasks release their connections.
CELERY_TIMEZONE = "UTC"
HEARTBEAT_FILE: str = env.str("HEARTBEAT_FILE", default="")  # Touched by a worker or beat that works.
CELERY_WORKER_DIRECT = bool(HEARTBEAT_FILE)  # A queue per worker, for its own heartbeats.
CELERY_BEAT_SCHEDULER = "backend.server.heartbeat.Scheduler"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "documents.sweep": {"task": "backend.documents.tasks.sweep", "schedule": 15.0},
    "documents.reconcile_storage": {
        "task": "backend.documents.tasks.reconcile_storage",
        "schedule": RECONCILE_SECONDS,
    },
    "documents.refresh_statistics": {"task": "backend.documents.tasks.refresh_statistics", "schedule": 60.0},
    "agents.reap_runs": {"task": "backend.agents.tasks.reap_runs", "schedule": RUN_SWEEP_SECONDS},
    "agents.purge_conversations": {
        "task": "backend.agents.tasks.purge_conversations",
        "schedule": timedelta(minutes=10),
    },
    "accounts.repeat_revocations": {"task": "backend.accounts.tasks.repeat_revocations", "schedule": 30.0},
    "accounts.purge": {"task": "backend.accounts.tasks.purge", "schedule": timedelta(hours=1)},
    "billing.expire_holds": {"task": "backend.billing.tasks.expire_holds", "schedule": timedelta(minutes=1)},
    "billing.expire_grants": {"task": "backend.billing.tasks.expire_grants", "schedule": timedelta(minutes=1)},
}
