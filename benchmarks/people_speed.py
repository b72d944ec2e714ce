"""How long the page about people takes in a large project: cold, warm, and what of it is the database's.

    python -m benchmarks.people_speed --items 1000000 --people 300

Items come in through the import's own functions. Labels are written by SQL, three of different people on each item,
right in four cases of five, with the seats, annotations and resolutions that the page reads (not those of the queue, so
`touchstone audit` would find fault). Cold: the report is computed in this process with an empty cache, several times.
Then the page and the API are asked for over HTTP, first and again.
"""

from __future__ import annotations

import argparse
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from benchmarks.answers import write_answers
from benchmarks.installation import add_options, make_people, make_project, open_site
from benchmarks.items_list import sign_in
from benchmarks.measuring import Check, Measurement, in_ms, median, say

if TYPE_CHECKING:
    from annotation.models import Project

SLUG = "people"
COLD_SECONDS, WARM_SECONDS = 2.0, 0.1

# Each item's truth, how sure it is, and its three people follow from a hash of its id.
_GIVEN = """
    create temporary table given on commit drop as
    select q.id, q.item_id, q.lane_id, q.draw_id, q.project_id,
      (%(people)s::bigint[])[1 + (h.m / 64 + k.n * (1 + h.m %% 97)) %% %(n_people)s] as person,
      case when u.n < 0.8 then 1 + h.m %% 3 else 1 + (h.m + 1 + (u.n * 10)::int %% 2) %% 3 end as said,
      2 + 20 * u.n as seconds,
      timestamptz '2026-01-05' + (h.m %% 5000000) * interval '1 second' + k.n * interval '7 minutes' as at
    from annotation_item i
    join annotation_queuerow q on q.item_id = i.id and q.kind = 1
    cross join lateral (select (hashtextextended(i.id::text, 3) & 1073741823)::int as m) h
    cross join generate_series(1, 3) k(n)
    cross join lateral (select (hashtextextended(i.id::text, 10 + k.n) & 1048575) / 1048576.0 as n) u
    where i.project_id = %(project)s order by at
"""
_RESOLVED = """
    insert into reviewers_resolution (project_id, item_id, question, pass_no, state, choice, method, votes, n_votes,
        disagreement, version, changed_at)
      select %(project)s, item, 1, 1, case when max(n) > 1 then 1 else 2 end,
        case when max(n) > 1 then (array_agg(said order by n desc))[1] end, 'majority', '{}', 3, 0, 1, now()
      from (select item_id as item, said, count(*) as n from given group by 1, 2) v group by 1, 2
"""


def fill(project: Project, people: list[int]) -> None:
    """Three labels on each item, unless there are labels already."""
    from django.db import connection, transaction

    from annotation.models import Label

    if Label.objects.filter(project=project).exists():
        return
    started = time.monotonic()
    about: dict[str, Any] = {"project": project.pk, "people": people, "n_people": len(people)}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_GIVEN, about)
        write_answers(cursor, project)
        cursor.execute(_RESOLVED, about)
    say(f"labels written in {time.monotonic() - started:.0f} s")


def time_cold(project: Project, repeat: int) -> tuple[dict[str, Any], list[float], list[float]]:
    """The last report, and the seconds of each: of all, and of loading alone."""
    from django.core.cache import cache

    from reviewers.people.loading import load_people
    from reviewers.people.report import people_report
    from reviewers.reports import pick_question

    question = pick_question(project, None)
    whole, loading = [], []
    found: dict[str, Any] = {}
    for _ in range(repeat):
        cache.clear()
        started = time.perf_counter()
        found = people_report(project, question)
        whole.append(time.perf_counter() - started)
        started = time.perf_counter()
        load_people(project, question)
        loading.append(time.perf_counter() - started)
    return found, whole, loading


def ask(url: str, headers: dict[str, str]) -> float:
    """The seconds that one request takes, its body read to the end."""
    started = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:  # noqa: S310 - our own
        response.read()
    return time.perf_counter() - started


def main() -> int:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    with open_site(args) as site:
        from annotation.models import Project, User

        users = [user for user, _token in make_people(args.people)]
        project = Project.objects.get(pk=make_project(SLUG, users, args.items, overlap=3).pk)
        fill(project, [user.pk for user in users])
        site.settle_down()
        measurement = Measurement("people_speed", args.out)
        found, whole, loading = time_cold(project, args.repeat)
        page = f"http://127.0.0.1:{site.port}/p/{SLUG}/annotators/"
        session = sign_in(User.objects.get(username="owner"))
        # Each process of the web server has a cache of its own: the first requests are cold ones.
        asked = [ask(page, session) for _ in range(12 * args.web_workers)]
        warm = sorted(asked)[: len(asked) // 2]
        figures = {
            "people": len(found["people"]),
            "labels looked at": found["n_labels"],
            "is_sample": found["is_sample"],
            "report, cold": in_ms(whole),
            "of that loading": in_ms(loading),
            "page, first": round(asked[0], 3),
            "page, warm": in_ms(warm),
        }
        checks = [
            Check("report, cold: median s", round(median(whole), 2), "<=", COLD_SECONDS),
            Check("page, cold: s", round(asked[0], 2), "<=", COLD_SECONDS),
            Check("page, warm: median s", round(median(warm), 3), "<=", WARM_SECONDS),
        ]
        return 0 if measurement.finish(figures, checks) else 1


if __name__ == "__main__":
    sys.exit(main())
