"""Every setting of Saldo, in one file, each value from the environment through a typed reader.

`SALDO_ENV` is `development` (what scripts/up starts) or `production`, the default, so that forgetting it is safe.
The README's table of settings is checked against this file by tests/config/test_settings.py.
"""

from pathlib import Path
from urllib.parse import urlsplit

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from config import environment as env
from config.logs import LOGGING as LOGGING

BASE_DIR = Path(__file__).resolve().parent.parent

SALDO_ENV = env.choice("SALDO_ENV", "production", ("development", "production"))
IS_DEVELOPMENT = SALDO_ENV == "development"
SALDO_DEMO = env.boolean("SALDO_DEMO", False)
SALDO_STAGING = env.boolean("SALDO_STAGING", False)
SALDO_PUBLIC_URL = env.http_url("SALDO_PUBLIC_URL", f"http://127.0.0.1:{env.integer('PORT', 8000, low=0, high=65535)}")

# --- Security ---------------------------------------------------------------------------------------------------

SECRET_KEY = env.text(
    "SECRET_KEY",
    cure="Production needs a secret of its own, 50 random characters or more; scripts/up makes one for development.",
)
if not IS_DEVELOPMENT and len(SECRET_KEY) < 50:
    env.refuse("SECRET_KEY", "is shorter than 50 characters", "Sessions could be forged: use a longer random secret.")
FIELD_ENCRYPTION_KEYS = env.fernet_keys(
    "FIELD_ENCRYPTION_KEYS",
    cure=f"It seals the marketplace credentials; newest key first, separated by commas. {env.FERNET_KEY_COMMAND}",
)
DEBUG = env.boolean("DEBUG", False)
if DEBUG and not IS_DEVELOPMENT:
    env.refuse("DEBUG", "is on in production", "Error pages would show settings and data: turn it off.")
PUBLIC_HOST = urlsplit(SALDO_PUBLIC_URL).hostname or "localhost"
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ",".join(dict.fromkeys([PUBLIC_HOST, "127.0.0.1", "localhost"])))
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", SALDO_PUBLIC_URL)
HTTPS_ONLY = SALDO_PUBLIC_URL.startswith("https://")
if not IS_DEVELOPMENT and not HTTPS_ONLY:
    env.refuse(
        "SALDO_PUBLIC_URL",
        "is not an https:// address",
        "Sessions and webhooks would travel in the clear: put TLS in front and name the https address.",
    )
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
# Browsers take a __Host- cookie only over TLS, for this host and the whole of it: no neighbour can plant one.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = (
    ("__Host-sessionid", "__Host-csrftoken") if HTTPS_ONLY else ("sessionid", "csrftoken")
)
SESSION_COOKIE_AGE = 8 * 60 * 60
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"  # the channel sends people back here after they authorised
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS_ONLY else None
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 31_536_000, low=0, high=63_072_000) if HTTPS_ONLY else 0
PROXIES_IN_FRONT = env.integer("PROXIES_IN_FRONT", 1 if HTTPS_ONLY else 0, low=0, high=10)
STAFF_SECOND_FACTOR = env.boolean("STAFF_SECOND_FACTOR", not IS_DEVELOPMENT)
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# --- Applications, in the order of the rooms --------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",  # before django.contrib.admin: it takes the admin's templates over
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_structlog",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "apps.tenants",
    "apps.inventory",
    "apps.connectors",
    "apps.sync",
    "apps.orders",
    "apps.notifications",
    "apps.events",
    "apps.sources",
    "apps.subscribers",
    "apps.console",
    "apps.sandbox",
]
#: Where machines call that are told nothing but a status: answered before any of the middleware below, as the API is
#: (common/fast_lane.py).
FAST_LANE = ("/api/integracoes/ml/notificacoes/",)
MIDDLEWARE = [
    "apps.common.fast_lane.FastLane",
    "apps.common.tracing.TraceId",
    "django.middleware.security.SecurityMiddleware",
    "apps.common.content_policy.ContentPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.tenants.middleware.ShowTenantTime",
    "apps.console.patience.EndSlowPages",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "console:home"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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

# --- Data -------------------------------------------------------------------------------------------------------

DATABASES = {
    "default": {
        **env.database("DATABASE_URL", cure="Name a PostgreSQL 18 database; scripts/up starts one for development."),
        # A connection that died with a restarted server is noticed and replaced before a request meets it.
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": None,
    }
}
REDIS_URL = env.redis_socket_or_tcp("REDIS_URL", cure="Name a Valkey or Redis, such as redis://host:6379/0.")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_timeout": 1},  # what is kept there is never worth waiting for
    }
}

# --- Celery: it only wakes workers; what there is to do stands in PostgreSQL (law 1) ------------------------------

CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", env.celery_broker(REDIS_URL))
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5, "socket_connect_timeout": 5}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 3
CELERY_TIMEZONE = "UTC"
DJANGO_STRUCTLOG_CELERY_ENABLED = False

# --- The console --------------------------------------------------------------------------------------------------

CONSOLE_STATEMENT_SECONDS = env.integer("CONSOLE_STATEMENT_SECONDS", 5, low=0, high=600)

# --- The API: who calls, and how much ---------------------------------------------------------------------------

API_RATE_LIMIT_PER_MINUTE = env.integer("API_RATE_LIMIT_PER_MINUTE", 120_000, low=0, high=10_000_000)
API_BODY_MAX_BYTES = env.integer("API_BODY_MAX_BYTES", 1024 * 1024, low=1024, high=2 * 1024 * 1024)
IDEMPOTENCY_KEY_DAYS = env.integer("IDEMPOTENCY_KEY_DAYS", 7, low=1, high=3650)
JWT_ALGORITHM = env.choice("JWT_ALGORITHM", "", ("", "RS256", "HS256"))
JWT_KEY = env.jwt_key("JWT_KEY", JWT_ALGORITHM)
JWT_ISSUER = env.text("JWT_ISSUER", "")
JWT_AUDIENCE = env.text("JWT_AUDIENCE", "")

# --- Mercado Livre ----------------------------------------------------------------------------------------------

MERCADOLIVRE_API_URL = env.http_url("MERCADOLIVRE_API_URL", "https://api.mercadolibre.com")
MERCADOLIVRE_AUTH_URL = env.http_url("MERCADOLIVRE_AUTH_URL", "https://auth.mercadolivre.com.br")

EVENT_BODY_DAYS = env.integer("EVENT_BODY_DAYS", 30, low=1, high=3650)
ENDED_KEEP_DAYS = env.integer("ENDED_KEEP_DAYS", 90, low=30, high=3650)
SYNC_LOG_MONTHS = env.integer("SYNC_LOG_MONTHS", 13, low=1, high=600)

# --- Nothing missed: the search for orders that no notification told of ------------------------------------------

ORDER_SEARCH_EVERY_SECONDS = env.integer("ORDER_SEARCH_EVERY_SECONDS", 300, low=60, high=86_400)
ORDER_SEARCH_OVERLAP_MINUTES = env.integer("ORDER_SEARCH_OVERLAP_MINUTES", 60, low=1, high=2880)
ORDER_SEARCH_FIRST_HOURS = env.integer("ORDER_SEARCH_FIRST_HOURS", 0, low=0, high=8760)

# --- The truth: reading the channels back --------------------------------------------------------------------------

RECONCILE_EVERY_MINUTES = env.integer("RECONCILE_EVERY_MINUTES", 60, low=0, high=10_080)
RECONCILE_CALLS_PER_MINUTE = env.integer("RECONCILE_CALLS_PER_MINUTE", 60, low=1, high=6000)

# --- Failures of channels -----------------------------------------------------------------------------------------

CHANNEL_BREAKER_FAILURES = env.integer("CHANNEL_BREAKER_FAILURES", 5, low=0, high=1000)
CHANNEL_BREAKER_SECONDS = env.integer("CHANNEL_BREAKER_SECONDS", 30, low=1, high=3600)
SYNC_READ_FIRST_UNITS = env.integer("SYNC_READ_FIRST_UNITS", 3, low=-1, high=1_000_000)
SYNC_IN_FLIGHT_SECONDS = env.integer("SYNC_IN_FLIGHT_SECONDS", 120, low=0, high=86_400)
CHANNEL_CALLS_PER_MINUTE = env.integer("CHANNEL_CALLS_PER_MINUTE", 1500, low=0, high=1_000_000)
BULK_SHARE_PERCENT = env.integer("BULK_SHARE_PERCENT", 30, low=1, high=100)
SYNC_THREADS = env.integer("SYNC_THREADS", 8, low=1, high=64)
EVENT_RETRY_PAUSES_SECONDS = env.pauses("EVENT_RETRY_PAUSES_SECONDS", "30,120,600")
METRICS_TOKEN = env.text("METRICS_TOKEN", "")

# --- Subscribers: where events may be posted to -------------------------------------------------------------------

SUBSCRIBER_HTTPS_ONLY = not IS_DEVELOPMENT
SUBSCRIBER_PORTS = env.ports("SUBSCRIBER_PORTS", "" if IS_DEVELOPMENT else "443,8443")
SUBSCRIBER_NETWORKS = env.networks("SUBSCRIBER_NETWORKS", "127.0.0.0/8,::1/128" if IS_DEVELOPMENT else "")
SUBSCRIBER_KEEP_DAYS = env.integer("SUBSCRIBER_KEEP_DAYS", 30, low=2, high=3650)

# --- Notifications: how recipients are told that an order is ready -------------------------------------------------

SMTP = env.smtp("EMAIL_URL")
EMAIL_HOST, EMAIL_PORT = SMTP.host, SMTP.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = SMTP.user, SMTP.password
EMAIL_USE_TLS, EMAIL_USE_SSL = SMTP.upgrades_to_tls, SMTP.is_tls
EMAIL_TIMEOUT = 10
if not IS_DEVELOPMENT and SMTP.password and not (SMTP.upgrades_to_tls or SMTP.is_tls):
    env.refuse("EMAIL_URL", "sends a password in the clear", "Use smtp+tls:// (STARTTLS) or smtps://.")
DEFAULT_FROM_EMAIL = env.email_address("EMAIL_FROM", f"Saldo <saldo@{PUBLIC_HOST}>")
# Development writes to a file what has no server to go to; production says that there is no driver.
LOCAL_DRIVER = "apps.notifications.drivers.file.FileDriver" if IS_DEVELOPMENT else ""
SMTP_DRIVER = "apps.notifications.drivers.email.SmtpDriver" if SMTP.host else LOCAL_DRIVER
NOTIFICATION_DRIVERS = {
    "EMAIL": env.text("NOTIFICATION_EMAIL_DRIVER", SMTP_DRIVER),
    "SMS": env.text("NOTIFICATION_SMS_DRIVER", LOCAL_DRIVER),
    "WHATSAPP": env.text("NOTIFICATION_WHATSAPP_DRIVER", LOCAL_DRIVER),
}
NOTIFICATION_FOLDER = Path(env.text("SALDO_DATA", str(BASE_DIR / "var"))) / "notifications"
NOTIFICATION_PAUSES_SECONDS = env.pauses("NOTIFICATION_PAUSES_SECONDS", "30,120,600")

# --- Language and time: stored in UTC, shown in São Paulo's time unless the tenant says otherwise ------------------

LANGUAGE_CODE = "pt-br"
LANGUAGES = [("pt-br", "Português (Brasil)"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
DISPLAY_TIME_ZONE = "America/Sao_Paulo"

# --- Static files ---------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Development serves straight from the source folders: no collectstatic, and an edited file shows at once.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = IS_DEVELOPMENT
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if IS_DEVELOPMENT
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- Third parties -----------------------------------------------------------------------------------------------


REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.tenants.authentication.CallerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["apps.tenants.authentication.HasScope"],
    "EXCEPTION_HANDLER": "apps.common.problems.handle",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.common.typed_json.StrictJsonParser"],
    "DEFAULT_SCHEMA_CLASS": "config.openapi.DrfOperation",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Saldo",
    "DESCRIPTION": "One true stock number per SKU and place. Errors are problem documents (RFC 9457).",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/v1",
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "config.openapi.add_endpoints"],
    "SERVERS": [{"url": "/"}],
}

UNFOLD = {
    "SITE_TITLE": "Saldo",
    "SITE_HEADER": "Saldo",
    "SITE_SUBHEADER": _("Stock hub"),
    "SITE_URL": reverse_lazy("console:home"),
    "SITE_ICON": lambda request: static("img/logo.svg"),
    "SIDEBAR": {"show_search": True, "navigation": "config.admin.sidebar"},
    "STYLES": [lambda request: static("css/admin.css")],
    "ENVIRONMENT": "config.admin.environment_badge",
    "SHOW_VIEW_ON_SITE": False,
}
