"""Django's settings: all from the environment, each with a default that is safe as it stands.

| Variable | Default | Meaning |
|---|---|---|
| TOUCHSTONE_HOME | `var` beside the code | database, media, snapshots, models, features, uploads, secrets |
| DATABASE_URL | the embedded PostgreSQL | `postgres://...`, PostgreSQL 15 or later |
| BROKER_URL | the embedded Valkey | `redis://`, `rediss://`, `redis+socket://` or `amqp://` |
| SECRET_KEY | made once, in the home folder | must be the same on every host |
| HOST, PORT | 127.0.0.1, 8000 | where the web server listens |
| ALLOWED_HOSTS | this machine's own names, and HOST | comma-separated |
| CSRF_TRUSTED_ORIGINS | none | comma-separated, with the scheme |
| HTTPS | off | set where a TLS proxy that sends `X-Forwarded-Proto` stands in front: secure cookies, HSTS |
| WEB_WORKERS, WEB_THREADS | one a core (2 to 8), 4 | processes of the web server, and threads of each |
| WORKER_PROCESSES | 2 | children of one worker |
| FETCH_NETWORKS | none | networks that media may be fetched from although they are not public: `10.2.0.0/16,fd00::/8` |
| LLM_URL, LLM_MODEL | none | an endpoint that speaks as OpenAI's does, up to `/chat/completions`, and a model of it |
| LLM_NETWORKS | none | networks that it may stand in although they are not public; media are not fetched from there |
| LLM_KEY | none | what that endpoint knows this installation by |
| LLM_INPUT_PRICE, LLM_OUTPUT_PRICE | none | of a million tokens sent and received: what is spent is then told |
| LLM_OPTIONS | `{"temperature": 0, "max_tokens": 300}` | what else is sent with each question to it, as JSON |
| FFMPEG | the one on the path, or an extra's | the program that takes still pictures out of videos |
| SENTENCE_MODEL | none | the folder of a sentence model: texts can then be learned by sentence embeddings |
| TOUCHSTONE_DEMO | on | whether `touchstone up` makes the demo projects |
| LOG_LEVEL | INFO | |
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote

import django_stubs_ext
import environ
import structlog
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config.home import ROOT, get_home, get_secret_key, get_socket_folder

django_stubs_ext.monkeypatch()

env = environ.Env()

BASE_DIR = ROOT
TOUCHSTONE_HOME: Path = get_home()
MEDIA_DIR = TOUCHSTONE_HOME / "media"
SNAPSHOT_DIR = TOUCHSTONE_HOME / "snapshots"
MODEL_DIR = TOUCHSTONE_HOME / "models"
FEATURE_DIR = TOUCHSTONE_HOME / "features"
UPLOAD_DIR = TOUCHSTONE_HOME / "uploads"


def _read_networks(name: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(one.strip()) for one in env.list(name, default=[])]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be networks, separated by commas: {error}.") from error


FETCH_NETWORKS = _read_networks("FETCH_NETWORKS")
FFMPEG: str = env.str("FFMPEG", default="")
LLM_NETWORKS = _read_networks("LLM_NETWORKS")
LLM_URL: str = env.str("LLM_URL", default="").rstrip("/")
LLM_MODEL: str = env.str("LLM_MODEL", default="")
LLM_KEY: str = env.str("LLM_KEY", default="")
if not all("!" <= letter <= "~" for letter in LLM_KEY):  # it stands in a header, and in no message
    raise ImproperlyConfigured("LLM_KEY must be printable ASCII characters without a space.")
if len(LLM_MODEL) > 90 or not LLM_MODEL.isprintable():
    raise ImproperlyConfigured("LLM_MODEL must be at most 90 printable characters.")
try:
    LLM_PRICES: tuple[float, float] | None = None
    if env.str("LLM_INPUT_PRICE", default="") or env.str("LLM_OUTPUT_PRICE", default=""):
        LLM_PRICES = (env.float("LLM_INPUT_PRICE", default=0.0), env.float("LLM_OUTPUT_PRICE", default=0.0))
        if not all(0 <= price < 1e6 for price in LLM_PRICES):
            raise ValueError("they are from 0 to a million")
except ValueError as error:
    raise ImproperlyConfigured(f"LLM_INPUT_PRICE and LLM_OUTPUT_PRICE must be numbers: {error}.") from error
LLM_OPTIONS: Any = env.json("LLM_OPTIONS", default={"temperature": 0, "max_tokens": 300})
if not isinstance(LLM_OPTIONS, dict) or {"model", "messages", "stream"} & set(LLM_OPTIONS):
    raise ImproperlyConfigured("LLM_OPTIONS must be a JSON object without `model`, `messages` and `stream`.")

SENTENCE_MODEL: str = env.str("SENTENCE_MODEL", default="")
if SENTENCE_MODEL and not Path(SENTENCE_MODEL).is_absolute():
    raise ImproperlyConfigured("SENTENCE_MODEL must be the whole path of a folder, from / on; no name is looked up.")

DEBUG = False
SECRET_KEY: str = env.str("SECRET_KEY", default="") or get_secret_key(TOUCHSTONE_HOME)
HOST: str = env.str("HOST", default="") or "127.0.0.1"
PORT: int = env.int("PORT", default=8000)
IS_HTTPS: bool = env.bool("HTTPS", default=False)

_own_names = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[*_own_names, HOST])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "annotation.apps.AnnotationConfig",
    "reviewers.apps.ReviewersConfig",
    "learning.apps.LearningConfig",
    "config.apps.ConfigConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "axes",
    "csp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.ContentSecurity",
    "config.middleware.Session",
    "config.middleware.Language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "config.middleware.Authentication",
    "config.middleware.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.Htmx",
    "config.middleware.Lockout",
]
SILENCED_SYSTEM_CHECKS = ["axes.W002"]  # it stands above under a name of our own, and does not know it

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

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
                "config.context.add_nonce",
            ],
        },
    },
]

# --- Storage ---------------------------------------------------------------------------------------------------------

DATABASE_URL: str = env.str("DATABASE_URL", default="")
if DATABASE_URL and not DATABASE_URL.startswith(("postgres://", "postgresql://")):
    raise ImproperlyConfigured("DATABASE_URL must begin with postgres://: PostgreSQL 15 or later is the only database.")
_socket_folder = get_socket_folder(TOUCHSTONE_HOME)
_database: dict[str, Any] = (
    environ.Env.db_url_config(DATABASE_URL)
    if DATABASE_URL
    else {
        "NAME": "touchstone",
        "USER": "touchstone",
        "HOST": str(_socket_folder),
        "PORT": "5432",
    }
)
_database["ENGINE"] = "config.database"
_database["ATOMIC_REQUESTS"] = False
# One connection for each thread, kept and looked at before each use: a restarted server costs no request.
_database["CONN_MAX_AGE"] = None
_database["CONN_HEALTH_CHECKS"] = True
_options = _database.get("OPTIONS", {})
# A server as Debian sets it up compiles queries that it takes for long ones: 0.1 s for what runs in 1 ms.
_database["OPTIONS"] = {
    "prepare_threshold": 0,  # prepared is what asks for it (`prepared_cursor`); without this, nothing could
    **_options,
    "application_name": "touchstone",
    "options": f"{_options.get('options', '')} -c jit=off".strip(),
}
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "static/"
STATIC_ROOT = TOUCHSTONE_HOME / "static"
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "config.static_files.DeskFinder",
]
STATICFILES_DIRS = [path for path in [BASE_DIR / "static"] if path.is_dir()]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": MEDIA_DIR}},
    "staticfiles": {"BACKEND": "config.static_files.ModuleStorage"},
}
FILE_UPLOAD_TEMP_DIR = UPLOAD_DIR if UPLOAD_DIR.is_dir() else None
FILE_UPLOAD_PERMISSIONS = 0o600

# --- People and sign-in ----------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "annotation.User"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign-in"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# A name is shut out for one address after ten wrong passwords, for a quarter of an hour. Locking by name alone would
# let anybody shut anybody out; by address alone, one office.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "annotation.views.sign_in.show_locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = IS_HTTPS

# --- What browsers may do --------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "blob:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    },
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"  # without a referrer Chromium sends `Origin: null`, and forms are refused
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if IS_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 365 * 24 * 3600

DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000

# --- Language and time -----------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

# --- API -------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["annotation.api.bodies.StrictJSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "annotation.authentication.TokenAuthentication",
        "annotation.api.sessions.CsrfSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "annotation.api.negotiation.JsonNegotiation",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "annotation.api.openapi.ApiSchema",
    "EXCEPTION_HANDLER": "annotation.api.exceptions.api_exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Touchstone",
    "DESCRIPTION": "People and models label content together, and the quality of those labels is measured.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [],  # enums stand where they are used, and need no names of their own
    "DISABLE_ERRORS_AND_WARNINGS": False,
}

# --- Work in the background ------------------------------------------------------------------------------------------

BROKER_URL: str = env.str("BROKER_URL", default="") or f"redis+socket://{quote(str(_socket_folder / 'valkey.sock'))}"
CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_TIMEOUT = 2
# A message that cannot be sent is no loss (the job row stands and the sweeper rings again), so a request never waits.
CELERY_TASK_PUBLISH_RETRY = False
# kombu hands a message that a worker took and never began out again after this long; the sweeper is much quicker.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 6 * 3600,
    "socket_connect_timeout": 2,
    "socket_timeout": 30,
}
# A message only rings a bell, so it is forgotten as soon as a worker begins. Where it is not, and the broker breaks
# off, Celery ends the task that it stood for, and sometimes the whole worker.
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = env.int("WORKER_PROCESSES", default=2)
CELERY_WORKER_MAX_TASKS_PER_CHILD = 2_000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_SOFT_TIME_LIMIT = 100 * 60
CELERY_TASK_TIME_LIMIT = 120 * 60
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "touchstone"
CELERY_TIMEZONE = "UTC"
# Beat does these itself (config/beat.py). No state between starts: nothing is pickled to a file.
CELERY_BEAT_SCHEDULER = "config.beat:DoingScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SCHEDULE = {
    "dispatch-events": {"task": "annotation.tasks.dispatch_events", "schedule": 1.0},
    "sweep-jobs": {"task": "annotation.tasks.sweep_jobs", "schedule": 5.0},
    "move-floors": {"task": "annotation.tasks.move_floors", "schedule": 1.0},
    "start-audit": {"task": "annotation.tasks.start_audit", "schedule": 60.0},
    "start-recount": {"task": "reviewers.tasks.start_recount", "schedule": 60.0},
    "run-schedules": {"task": "learning.tasks.run_schedules", "schedule": 60.0},
}

# --- Demo projects and logs ------------------------------------------------------------------------------------------

IS_DEMO_WANTED: bool = env.bool("TOUCHSTONE_DEMO", default=True)

LOG_LEVEL: str = env.str("LOG_LEVEL", default="INFO").upper()
_shared_processors: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "structlog.stdlib.ProcessorFormatter",
            "foreign_pre_chain": _shared_processors,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "axes": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared_processors,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
