"""The door for the web server."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.wsgi import get_wsgi_application

from config.embedded.child import die_with_parent

if os.environ.get("TOUCHSTONE_SUPERVISED"):
    die_with_parent()

application = get_wsgi_application()
gc.freeze()  # what was loaded by now stays: each full collection would look through all of it, 20 ms amid a request
