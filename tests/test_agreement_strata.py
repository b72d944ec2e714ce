"""Strata of large projects: counted without looking at labels, computed by a worker, kept, and shown with their age."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from annotation.actions.projects import put_schema
from annotation.jobs import run_job
from annotation.models import Event, Job, Project
from annotation.serializers import show_time
from reviewers import job_kinds
from reviewers.agreement import kept
from reviewers.agreement.report import project_agreement
from reviewers.agreement.vote_counts import gather_votes, list_values, values_in
from reviewers.algorithms.labels import count_vectors
from reviewers.consumers import read_votes
from reviewers.loading import load_counted, load_labels
from reviewers.models import AgreementStrata
from reviewers.reports import pick_question
from tests.api_client import Api
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk

pytestmark = pytest.mark.django_db
assert job_kinds  # registers the kinds
URL = "projects/forum/agreement?question=verdict&by=language"
QUESTIONS = [
    *CHOICE_SCHEMA["questions"],
    {"name": "grade", "kind": "rating", "min": 1, "max": 5},
    {"name": "tags", "kind": "choices", "choices": [{"value": value} for value in ("x", "y", "z")]},
]


def rows() -> list[dict[str, Any]]:
    """40 items in two languages; who answered which is not the same everywhere, and some have one answer, by E."""
    rng = np.random.default_rng(3)
    found = []
    for i in range(40):
        people = rng.permutation(["A", "B", "C", "D"])[: 1 + i % 4] if i % 4 else ["E"]
        answers = {
            name: {
                "verdict": ["none", "spam", "insult"][int(rng.integers(3)) if rng.random() < 0.5 else i % 3],
                "grade": int(rng.integers(1, 6)),
                "tags": ["x", "y", "z"][: int(rng.integers(4))],
            }
            for name in people
        }
        metadata = {"language": ["en", "de"][i % 2], "shop": i % 3 == 0} if i % 5 else {}
        annotations = [{"annotator": name, "answers": one} for name, one in answers.items()]
        found.append({"external_id": f"s-{i}", "text": "t", "metadata": metadata, "annotations": annotations})
    return found


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    desk = make_desk(rows=rows(), schema={"questions": QUESTIONS}, overlap={"min": 2, "max": 4})
    read_votes(list(Event.objects.filter(project=desk.project)))
    return desk


@pytest.fixture
def large(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The same as if it had more labels than are looked at while somebody waits."""
    for name in ("QUICK_VOTES", "QUICK_LABELS", "QUICK_MARKS"):
        monkeypatch.setattr(kept, name, 10)
    return desk


def project_of(desk: Desk) -> Project:
    return Project.objects.select_related("schema").get(pk=desk.project.pk)


def page(desk: Desk, query: str = "?by=language", headers: dict[str, str] | None = None) -> str:
    client = Client()
    client.force_login(desk.cast.rita, backend="django.contrib.auth.backends.ModelBackend")
    response = client.get(f"/p/forum/agreement/{query}", headers=headers)
    assert response.status_code == 200
    return unescape(response.content.decode())


@pytest.mark.parametrize("name", ["verdict", "grade", "tags"])
@pytest.mark.parametrize("by", ["language", "metadata:shop", "split"])
def test_votes_counted_beside_the_labels_give_the_strata_that_the_labels_give(desk: Desk, name: str, by: str) -> None:
    project = project_of(desk)
    question = pick_question(project, name)
    told: list[int] = []
    counted = load_counted(project, question, by, told.append)
    values = list_values(question, values_in(question, [votes for one in counted.values() for votes in one.n_items]))
    tables = dict(load_labels(project, question, by=by))
    assert list(counted) == list(tables)
    assert told
    for stratum, votes in counted.items():
        found = gather_votes(question, votes.n_items, values, len(votes.persons))
        wanted = count_vectors(tables[stratum])
        assert found is not None
        assert found.n_annotators == wanted.n_annotators
        assert found.singles.tolist() == wanted.singles.tolist()
        assert {(tuple(v), n) for v, n in zip(found.counts.tolist(), found.n_items.tolist(), strict=True)} == {
            (tuple(v), n) for v, n in zip(wanted.counts.tolist(), wanted.n_items.tolist(), strict=True)
        }


@pytest.mark.parametrize("name", ["verdict", "tags"])
def test_figures_of_a_large_project_are_those_of_a_small_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    project = project_of(desk)
    question = pick_question(project, name)
    small = project_agreement(project, question, "language")["strata"]
    monkeypatch.setattr("reviewers.agreement.strata.FEW_LABELS", 0)
    monkeypatch.setattr("reviewers.agreement.strata.load_coded", None)  # no label is looked at
    assert project_agreement(project, question, "language")["strata"] == small
    assert [one["value"] for one in small] == ["", "de", "en"]


def test_few_labels_are_compared_at_once(desk: Desk) -> None:
    body = Api(desk.cast.rita).get(URL).json()
    assert [one["value"] for one in body["strata"]] == ["", "de", "en"]
    assert body["strata_job"] is None
    assert not Job.objects.filter(kind=kept.KIND).exists()


@pytest.mark.parametrize("by", ["language", "pair", "week"])
def test_many_labels_are_compared_by_a_job_and_then_kept(large: Desk, by: str) -> None:
    url = URL.replace("language", by)
    rita, olga = Api(large.cast.rita), Api(large.cast.olga)
    first = olga.get(url)
    assert first.status_code == 202
    job = first.json()["job"]
    assert first["Location"] == f"/api/v1/jobs/{job}"
    assert rita.get(url).json() == {"job": job}
    run_job(int(job))
    for caller in (rita, olga):
        told = caller.get(f"jobs/{job}").json()
        assert told["state"] == "done"
        assert told["result"] == {"strata": len(rita.get(url).json()["strata"])}
    body = rita.get(url).json()
    wanted = project_agreement(project_of(large), pick_question(project_of(large), "verdict"), by)
    assert body["strata"] == wanted["strata"]
    assert (body["left_out"], body["n_left_out"]) == (wanted["left_out"], wanted["n_left_out"])
    assert body["metrics"] == wanted["metrics"]
    assert body["strata_job"] is None
    assert body["strata_computed_at"] < body["computed_at"]


def test_old_strata_are_shown_while_one_job_makes_new_ones(large: Desk) -> None:
    api = Api(large.cast.rita)
    run_job(int(api.get(URL).json()["job"]))
    was = timezone.now() - timedelta(minutes=5)
    AgreementStrata.objects.update(computed_at=was)
    first, second = api.get(URL).json(), api.get(URL).json()
    assert first["strata_computed_at"] == second["strata_computed_at"] == show_time(was)
    assert first["strata"]
    assert first["strata_job"] == second["strata_job"] is not None
    run_job(int(first["strata_job"]))
    newest = api.get(URL).json()
    assert newest["strata_job"] is None
    assert newest["strata_computed_at"] > first["strata_computed_at"]
    assert AgreementStrata.objects.count() == 1


def test_strata_of_an_older_schema_are_not_shown(large: Desk) -> None:
    api = Api(large.cast.rita)
    run_job(int(api.get(URL).json()["job"]))
    choices = [*QUESTIONS[0]["choices"], {"value": "scam"}]
    schema = {"questions": [QUESTIONS[0] | {"choices": choices}, *QUESTIONS[1:]]}
    put_schema(project=large.project, schema=schema, map=None, actor=large.cast.olga)
    assert api.get(URL).status_code == 202


def test_the_page_shows_all_else_at_once_and_the_strata_when_they_are_there(large: Desk) -> None:
    html = page(large)
    assert "Krippendorff's alpha" in html
    assert "The figures appear here by themselves." in html
    assert 'hx-trigger="load delay:2s"' in html
    assert 'scope="row">de' not in html
    run_job(Job.objects.get(kind=kept.KIND).pk)
    again = page(large, headers={"HX-Request": "true", "HX-Target": "jobs"})
    assert "hx-trigger" not in again
    html = page(large)
    assert 'scope="row">de' in html
    assert 'hx-trigger="load delay:2s"' not in html


def test_what_failed_is_not_tried_again_at_once(large: Desk) -> None:
    api = Api(large.cast.rita)
    job = api.get(URL).json()["job"]
    Job.objects.filter(pk=job).update(state="failed", ended_at=timezone.now(), error="It did not work.")
    assert api.get(URL).json() == {"job": job}
    html = page(large)
    assert "It did not work." in html
    assert "in ten minutes or later" in html
    Job.objects.filter(pk=job).update(ended_at=timezone.now() - timedelta(minutes=11))
    assert api.get(URL).json() != {"job": job}


def test_pairs_stay_with_those_who_review(large: Desk) -> None:
    assert Api(large.cast.enzo).get(URL.replace("language", "pair")).status_code == 403
    assert not Job.objects.filter(kind=kept.KIND).exists()


def test_only_so_many_ways_are_kept(large: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reviewers.actions.strata.MOST_KEPT", 2)
    api = Api(large.cast.rita)
    for by in ("language", "week", "metadata:shop"):
        run_job(int(api.get(URL.replace("language", by)).json()["job"]))
    assert set(AgreementStrata.objects.values_list("by", flat=True)) == {"week", "metadata:shop"}
