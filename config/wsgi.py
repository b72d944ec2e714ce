"""The door for the web server."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.wsgi import get_wsgi_application

from config.embedded.child import die_with_parent

if os.environ.get("TOUCHSTONE_SUPERVISED"):
    die_with_parent()

application = get_wsgi_application()
