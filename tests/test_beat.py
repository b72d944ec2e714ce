"""Beat does what is due itself: no worker, no broker, nothing to wait behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from annotation.models import QueueLane
from config.home import ROOT
from tests.cast import MakeDesk
from tests.workers import get_database_url, wait_until


@pytest.mark.django_db(transaction=True)
def test_beat_moves_floors_with_no_worker_and_no_broker(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3)
    desk.label("alice")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": get_database_url(),
        "BROKER_URL": "redis+socket:///nowhere/valkey.sock",
    }
    beat = subprocess.Popen(
        [sys.executable, "-m", "config.cli", "beat"], env=environment, cwd=ROOT, start_new_session=True
    )
    try:
        lanes = QueueLane.objects.filter(project=desk.project, lease_floor__isnull=False)
        wait_until(lanes.exists, seconds=30)
    finally:
        beat.terminate()
        beat.wait(10)
