"""Jobs over HTTP: who sees how far work is."""

from __future__ import annotations

import pytest

from annotation import job_kinds
from annotation.actions.jobs import start_job
from annotation.jobs import run_job
from tests.api_client import Api, fault_of, make_root
from tests.cast import MakeDesk

__all__ = ["job_kinds"]

pytestmark = pytest.mark.django_db


def test_a_job_is_shown_from_queued_to_done(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    api = Api(desk.cast.olga)
    job = api.delete("projects/forum").json()["job"]
    shown = api.get(f"jobs/{job}").json()
    assert shown == {
        "id": job,
        "kind": "erase",
        "state": "queued",
        "done": 0,
        "total": None,
        "result": None,
        "error": None,
    }
    run_job(int(job))
    shown = api.get(f"jobs/{job}").json()
    assert (shown["state"], shown["error"]) == ("done", None)
    assert shown["result"]["erased"] == 1


def test_a_failed_job_says_why(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    job = start_job(kind="erase", project=desk.project, created_by=desk.cast.olga)
    run_job(job.pk)
    shown = Api(desk.cast.olga).get(f"jobs/{job.pk}").json()
    assert (shown["state"], shown["error"]) == ("failed", "The project is not archived: nothing was erased.")


@pytest.mark.parametrize(
    ("name", "status"), [("olga", 200), ("enzo", 200), ("rita", 404), ("alice", 404), ("mallory", 404)]
)
def test_a_project_s_jobs_are_seen_by_those_who_work_with_them(make_desk: MakeDesk, name: str, status: int) -> None:
    desk = make_desk(n=1)
    job = start_job(kind="overlap", project=desk.project, created_by=desk.cast.olga)
    assert Api(desk.cast[name]).get(f"jobs/{job.pk}").status_code == status


def test_a_job_of_no_project_is_seen_by_who_started_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    root = make_root()
    job = start_job(kind="upkeep", project=None, created_by=root)
    assert Api(root).get(f"jobs/{job.pk}").status_code == 200
    assert fault_of(Api(desk.cast.olga).get(f"jobs/{job.pk}")) == (404, "not_found")


@pytest.mark.parametrize("job_id", ["0", "x", "-1", "9" * 30, "1.5", "%00"])
def test_a_job_that_is_none_is_absent(make_desk: MakeDesk, job_id: str) -> None:
    assert fault_of(Api(make_desk(n=1).cast.olga).get(f"jobs/{job_id}")) == (404, "not_found")
