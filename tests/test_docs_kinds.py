"""`docs/kinds.md`: its table is that of the code, and the kind that it shows how to write runs as it stands."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from annotation.actions.jobs import claim_job
from annotation.jobs import RunningJob
from annotation.kinds import KINDS, Kind
from annotation.models import Label
from config.home import ROOT
from learning.actions.snapshots import start_snapshot
from learning.models import Snapshot
from learning.snapshots.files import published_folder
from learning.tasks.snapshots import run_snapshot
from tests.api_client import Api
from tests.cast import Desk, MakeDesk
from tests.test_browser import faults, sign_in, watched
from tests.test_docs import fenced, rows

__all__ = ["faults", "watched"]

DOCUMENT = (ROOT / "docs" / "kinds.md").read_text()
EXAMPLE, WIDGET = fenced(DOCUMENT, "python"), fenced(DOCUMENT, "js")
QUESTION = {"name": "made", "kind": "day", "required": True, "earliest": "2020-01-01"}


def test_the_table_lists_each_kind_with_its_keys() -> None:
    table = [row for row in rows(DOCUMENT) if len(row) == 3 and row[0].strip("`") in KINDS]
    told = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in table}
    assert told == {name: set(kind.KEYS) for name, kind in KINDS.items()}


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The kind of the document, registered."""
    (source,) = EXAMPLE
    module = ModuleType("day")
    monkeypatch.setitem(sys.modules, "day", module)
    exec(compile(source, "docs/kinds.md", "exec"), module.__dict__)
    monkeypatch.setitem(KINDS, "day", module)
    return module


def test_the_example_has_all_that_a_kind_has(day: ModuleType) -> None:
    wanted = {name for name in (*vars(Kind), *Kind.__annotations__) if not name.startswith("_")}
    assert {name for name in wanted if not hasattr(day, name)} == set()


@pytest.fixture
def desk(day: ModuleType, make_desk: MakeDesk) -> Desk:
    """A project that asks for a day, twice of each item."""
    return make_desk(n=2, schema={"questions": [QUESTION]}, overlap=2)


@pytest.mark.django_db
def test_the_example_runs_from_the_schema_to_the_snapshot(desk: Desk, settings: Any, tmp_path: Path) -> None:
    settings.SNAPSHOT_DIR = tmp_path
    owner = Api(desk.cast.olga)
    assert owner.get("projects/forum").json()["schema"]["questions"] == [QUESTION]
    api = Api(desk.cast.alice)
    (lease,) = api.lease()
    wrong = api.post(f"leases/{lease['id']}/annotation", {"answers": {"made": "2019-12-31"}}, idempotency_key="k")
    assert (wrong.status_code, list(wrong.json()["fields"])) == (422, ["made"])
    days = [("alice", "2026-11-21"), ("bob", "2026-11-21"), ("alice", "2026-01-01"), ("bob", "2026-01-02")]
    assert [desk.label(name, {"made": one}).item_state for name, one in days] == ["open", "agreed", "open", "disputed"]

    page = Api(None)
    page.client.force_login(desk.cast.rita)
    listed = page.client.get("/p/forum/disputes/").content.decode()
    where = re.search(r"/p/forum/disputes/\d+/", listed)
    assert where is not None
    html = page.client.get(where[0]).content.decode()
    (bobs,) = re.findall(r'value="(\d+)"><span class="choice-text">as bob<br>[^<]*<[^>]*>2026-01-02<', html)
    version = re.search(r'name="expected_version" value="(\d+)"', html)
    assert version is not None
    sent = {"answer-made": bobs, "reason": "ambiguous", "expected_version": version[1]}
    assert page.client.post(where[0], sent).status_code == 302

    job = start_snapshot(project=desk.project, actor=desk.cast.enzo, query=None)
    claimed = claim_job(job_id=job.pk, worker="test", stale_seconds=0)
    assert claimed is not None
    run_snapshot(RunningJob(claimed))
    folder = published_folder(Snapshot.objects.get(job=job))
    labels = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    assert sorted(json.loads(row["made"]) for row in labels) == ["2026-01-02", "2026-11-21"]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_widget_of_the_example_answers_on_the_desk(watched: Page, live_server: LiveServer, desk: Desk) -> None:
    (source,) = WIDGET
    watched.route("**/js/desk/widgets/day.js", lambda route: route.fulfill(body=source, content_type="text/javascript"))
    sign_in(watched, f"{live_server.url}/p/forum/label/", "alice")
    first = watched.inner_text("#item .item-text")
    watched.fill("#questions input[type=date]", "2019-12-31")
    watched.click("[data-do=submit]")
    expect(watched.locator("#item .item-text")).to_have_text(first)  # too early: it is no answer
    watched.fill("#questions input[type=date]", "2026-11-21")
    watched.press("#questions input[type=date]", "Enter")
    expect(watched.locator("#item .item-text")).not_to_have_text(first)
    expect(watched.locator("#questions input[type=date]")).to_have_value("")
    expect(watched.locator("#saved")).to_have_text("Saved")
    assert [label.data for label in Label.objects.all()] == [["2026-11-21"]]
