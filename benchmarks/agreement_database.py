"""Agreement of a large project, from the database to the figure on the page: cold, warm, by strata, and how fresh.

    python -m benchmarks.agreement_database --items 1000000

An installation of its own with a project of so many items, three labels each by 40 annotators of different skill. Items
come in through the import's functions; the labels are written by SQL in the shapes that the queue leaves behind, some
ten thousand items a transaction, each with its event: the installation's own beat counts them as it would any others,
and how long that takes is a figure too. Then, in this process and over HTTP: the figures with nothing remembered (the
histogram is read and every measure computed), the same remembered, each kind of strata, the figures straight from the
labels, the daily recount; the page with strata that a worker counts; and how long after an answer the figures hold it.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.answers import label_by_skill
from benchmarks.installation import Site, add_options, make_people, make_project, open_site
from benchmarks.items_list import Caller, sign_in
from benchmarks.measuring import Check, Measurement, gauge_noise, in_ms, say, time_calls

if TYPE_CHECKING:
    from annotation.models import Project

SLUG, N_PEOPLE, OVERLAP = "agreement", 40, 3
COLD_SECONDS, WARM_SECONDS, FRESH_SECONDS = 2.0, 0.05, 2.0
BY_ITEM = "metadata:shop"  # what the items are; all other strata but those by label need the labels
STRATA = ("label", "pair", "week", "source", BY_ITEM)


def write_labels(project: Project, people: list[int], n_open: int, *, has_events: bool) -> float:
    """Label all items but the last `n_open`, where none is; the seconds that it took."""
    from django.db import connection

    from annotation.models import Item, Label

    if Label.objects.filter(project=project).exists():
        return 0.0
    ids = list(Item.objects.filter(project=project).order_by("pk").values_list("pk", flat=True))
    seconds = label_by_skill(project, people, ids[: len(ids) - n_open], OVERLAP, has_events=has_events)
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_item set metadata = jsonb_build_object('shop', 'shop-' || (id & 7))"
            " where project_id = %s",
            [project.pk],
        )
    return seconds


def count_here(project: Project) -> float:
    """Count all votes in this process; the seconds that it took."""
    from annotation.models import Item
    from annotation.strides import stride
    from reviewers.actions.votes import fold_votes

    started = time.monotonic()
    for ids in stride(Item.objects.filter(project=project), 20_000):
        fold_votes(project_id=project.pk, item_ids=ids)
    return time.monotonic() - started


def wait_until_counted(project: Project) -> float:
    """Seconds until all answers are in the histogram."""
    from reviewers.agreement.vote_counts import seconds_behind

    started = told = time.monotonic()
    while (behind := seconds_behind(project)) > 0:
        if time.monotonic() - told > 30:
            told = time.monotonic()
            say(f"behind by {behind:.0f} s ...")
        time.sleep(0.1)
    return time.monotonic() - started


def measure_here(project: Project, repeat: int) -> dict[str, Any]:
    """Figures in this process: with nothing remembered and remembered, by strata, and straight from the labels."""
    from django.core.cache import cache

    from reviewers.agreement.recount import find_differences
    from reviewers.agreement.report import project_agreement
    from reviewers.algorithms.agreement import agreement_of
    from reviewers.algorithms.labels import count_vectors
    from reviewers.loading import load_labels
    from reviewers.reports import pick_question

    question = pick_question(project, None)

    def cold() -> None:
        cache.clear()
        project_agreement(project, question)

    def from_labels(by: str | None = None) -> None:
        import numpy as np

        for _name, table in load_labels(project, question, by=by):
            agreement_of(count_vectors(table), rng=np.random.default_rng(1), coefficients=("fleiss_kappa", "gwet_ac1"))

    found: dict[str, Any] = {"cold": in_ms(time_calls(cold, repeat))}
    found["warm"] = in_ms(time_calls(lambda: project_agreement(project, question), repeat))
    for by in STRATA:
        cache.clear()
        found[f"strata by {by}, first"] = in_ms(time_calls(partial(project_agreement, project, question, by), 1))
    found[f"strata by {BY_ITEM} from the labels"] = in_ms(time_calls(partial(from_labels, BY_ITEM), 1))
    found["from the labels"] = in_ms(time_calls(from_labels, max(1, repeat // 5)))
    found["recount of all votes"] = in_ms(time_calls(lambda: find_differences(project, lambda _n: None), 1))
    return found


def measure_pages(site: Site, owner: Any, token: str, repeat: int) -> dict[str, Any]:
    """The page and the API over HTTP; the first request of a web process computes, those after it remember."""
    page, api = Caller(site.port, sign_in(owner)), Caller(site.port, {"Authorization": f"Bearer {token}"})
    page.get(f"/p/{SLUG}/members/")  # what a first page costs whatever it shows
    found: dict[str, Any] = {}
    for name, caller, where in (
        ("page", page, f"/p/{SLUG}/agreement/"),
        ("API", api, f"/api/v1/projects/{SLUG}/agreement"),
    ):
        found[f"{name}, first"] = in_ms([caller.get(where)[0]])
        found[f"{name}, then"] = in_ms([caller.get(where)[0] for _ in range(repeat)])
    for by in STRATA[1:]:
        where = f"/p/{SLUG}/agreement/?by={by}"
        found[f"page by {by}, first"] = in_ms([page.get(where)[0]])
        started = time.monotonic()
        while b"load delay:2s" in page.get(where)[1]:  # it looks again
            time.sleep(0.2)
        found[f"page by {by}, strata after, s"] = round(time.monotonic() - started, 1)
        found[f"page by {by}, kept"] = in_ms([page.get(where)[0] for _ in range(repeat)])
    return found


def measure_freshness(project: Project, people: list[int], n: int) -> list[float]:
    """Seconds from a stored answer until the histogram holds it, for `n` answers."""
    from random import Random

    from annotation import queue
    from reviewers.models import AgreementItem

    seconds, rng = [], Random(1)
    for number in range(n):
        person = people[number % len(people)]
        raw = queue.lease(project_id=project.pk, person_id=person, n=1, rng=rng).leases[0]
        rows = AgreementItem.objects.filter(item=raw["item"], persons__contains=[person])
        queue.submit(
            seat_id=raw["seat"],
            generation=raw["generation"],
            person_id=person,
            key=f"fresh-{time.time_ns()}",
            body_digest=bytes(32),
            source="human",
            answer=queue.Answer(labels=[{"q": 1, "choice": 1}]),
            salt=b"",
            rng=rng,
        )
        started = time.monotonic()
        while not rows.exists():
            time.sleep(0.01)
        seconds.append(time.monotonic() - started)
        time.sleep(rng.random())  # at any moment of the beat's second
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument(
        "--count-here", action="store_true", help="write no events, and count the votes here: sooner ready"
    )
    args = parser.parse_args()
    with open_site(args) as site:
        owner, token = make_people(1, "engineer")[0]
        people = [user for user, _token in make_people(N_PEOPLE)]
        project = make_project(SLUG, people, args.items, OVERLAP)
        from annotation.actions.projects import set_member

        set_member(project=project, user=owner, role="owner", actor=owner)
        ids = [user.pk for user in people]
        figures: dict[str, Any] = {"items": args.items, "labels": args.items * OVERLAP}
        written = write_labels(project, ids, n_open=200, has_events=not args.count_here)
        figures["labels written, s"] = round(written, 1)
        counted = count_here(project) if args.count_here else wait_until_counted(project)
        figures["then until all were counted, s"] = round(counted, 1)
        site.settle_down()
        say(f"load {gauge_noise()}")
        measurement = Measurement("agreement from the database", args.out)
        figures |= measure_here(project, args.repeat)
        figures |= measure_pages(site, owner, token, args.repeat)
        fresh = measure_freshness(project, ids, args.repeat)
        figures["answer until counted"] = in_ms(fresh)
        checks = [
            Check("cold, s", round(figures["cold"]["max"] / 1000, 3), "<=", COLD_SECONDS),
            Check(
                "page, first request of the web server, s",
                round(figures["page, first"]["max"] / 1000, 3),
                "<=",
                COLD_SECONDS,
            ),
            Check("warm, p95, s", round(figures["warm"]["p95"] / 1000, 4), "<=", WARM_SECONDS),
            Check("page, then, p95, s", round(figures["page, then"]["p95"] / 1000, 4), "<=", WARM_SECONDS),
            Check("answer until counted, longest, s", round(max(fresh), 2), "<=", FRESH_SECONDS),
        ]
        return 0 if measurement.finish(figures, checks) else 1


if __name__ == "__main__":
    sys.exit(main())
