"""The Celery application: a doorbell. What is to be done, and whether it was done, stands in Postgres."""

from __future__ import annotations

import gc
import os
from typing import Any

import structlog
from celery import Celery
from celery.signals import setup_logging, worker_init, worker_process_init

from config.embedded.child import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("touchstone")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**_: Any) -> None:
    """Leave the logs to Django's settings: a receiver here is how Celery is told not to set up its own."""


@worker_init.connect
def tell_warnings(**_: Any) -> None:
    """Log what Django's checks warn of: a worker is where a missing model is missed."""
    from django.core.checks import run_checks

    for message in run_checks():
        if message.is_silenced():
            continue
        structlog.get_logger(__name__).warning("check", id=message.id, told=message.msg)


@worker_process_init.connect
def follow_worker(**_: Any) -> None:
    """Let a pool child die with its worker: a killed worker must not leave a child behind that still writes."""
    die_with_parent()


@worker_process_init.connect
def collect_seldom(**_: Any) -> None:
    """A job makes objects by the million that live until their batch is stored: looking for garbage among them at every
    700th, as Python does, took more than half of the time of reading a file of scores.
    """
    gc.freeze()
    gc.set_threshold(20_000)
