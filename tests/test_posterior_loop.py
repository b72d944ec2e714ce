"""The posterior rule all the way round: over HTTP, by events, in a real worker."""

from __future__ import annotations

import pytest

from annotation.events import dispatch_events
from annotation.models import Job
from reviewers.models import ConsensusFit, Resolution
from tests.api_client import Api
from tests.cast import MakeDesk
from tests.posterior_desk import POSTERIOR, past_rows
from tests.workers import Worker, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_a_project_that_becomes_posterior_is_fitted_and_settled_by_itself(make_desk: MakeDesk, worker: Worker) -> None:
    desk = make_desk(rows=past_rows(), overlap={"min": 2, "max": 4})
    owner = Api(desk.cast.olga)
    shown = owner.post("projects/forum/rule-preview", {"rule": POSTERIOR}).json()
    assert (shown["n_items"], shown["n_looked_at"]) == (60, 60)
    assert owner.patch("projects/forum", {"rule": POSTERIOR}).status_code == 200
    dispatch_events()
    wait_until(lambda: Job.objects.filter(kind="consensus", state="done").exists(), seconds=60)
    assert Job.objects.get(kind="rule").state == "done"
    assert ConsensusFit.objects.get().method == "dawid_skene"
    agreed = owner.get("projects/forum/resolutions?state=agreed&limit=500").json()["results"]
    assert {row["method"] for row in agreed} == {"dawid_skene"}
    assert min(row["confidence"] for row in agreed) >= 0.95
    assert len(agreed) == Resolution.objects.filter(state=Resolution.State.AGREED).count() > 30
