"""How long the list of items takes at a million items: every order, state and search, first pages and deep ones.

    python -m benchmarks.items_list                      # fills an installation of its own (minutes), then asks it
    python -m benchmarks.items_list --home /tmp/million  # keeps it for the next run
    python -m benchmarks.items_list --only q --repeat 5  # a part of it

One client, one request at a time over HTTP with a token. Each case is asked `--repeat` times: the first page, and pages
begun at random places in the middle; the pages after the first up to the tenth are walked an eighth as often, and
searches give half as many first pages, each with the next one. Pages of the browser are asked by an owner who is signed
in. A case's figure is its p95. What is wanted holds for all requests together, and for the worst case by itself; of
fewer than twenty requests the p95 is the longest one.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from benchmarks.installation import add_options, open_site
from benchmarks.measuring import Check, Measurement, in_ms, percentile, say

ORDERS = ("id", "-priority", "-utility", "-disagreement")
STATES = ("", "open", "agreed", "disputed", "adjudicated", "archived", "quarantined", "erased")
SEARCHES = {
    "prefix of one": "item-00012345",
    "prefix of a hundred": "item-000012",
    "prefix of all": "item-",
    "rare word": "zephyr",
    "word in 1 %": "quarry",
    "word in 5 %": "lantern",
    "word in 30 %": "harbour",
    "two common words": "harbour lantern",
    "a common and a rare word": "zephyr harbour",
    "word that is nowhere": "xylophone",
}
PAGES = ("", "items/", "disputes/", "learning/", "snapshots/", "label/", "members/")
LIST_SECONDS, SEARCH_SECONDS = 0.100, 0.300


class Caller:
    """One keep-alive connection, as whoever the headers say."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.headers = headers

    def get(self, address: str) -> tuple[float, bytes]:
        """Seconds until the whole answer was there, and the answer. Anything but 200 ends the run."""
        started = time.perf_counter()
        self.connection.request("GET", address, headers=self.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - started
        assert answer.status == 200, (address, answer.status, body[:500])
        return seconds, body


class Asking:
    """The cases that were asked, and how long each took."""

    def __init__(self, caller: Caller, repeat: int) -> None:
        self.caller, self.repeat = caller, repeat
        self.times: dict[str, list[float]] = {}
        self.short: dict[str, int] = {}  # pages with fewer rows than asked for, and more to come

    def ask(self, case: str, address: str, limit: int = 0) -> str | None:
        """Ask once; returns the address of the page that follows."""
        seconds, body = self.caller.get(address)
        self.times.setdefault(case, []).append(seconds)
        if not limit:
            return None
        page = json.loads(body)
        if page["next"] and len(page["results"]) < limit:
            self.short[case] = self.short.get(case, 0) + 1
        found = urlsplit(page["next"]) if page["next"] else None
        return f"{found.path}?{found.query}" if found else None

    def table(self) -> list[dict[str, Any]]:
        """Each case, the slowest first."""
        rows = [
            {"case": case, **in_ms(times), **({"short_pages": self.short[case]} if case in self.short else {})}
            for case, times in self.times.items()
        ]
        return sorted(rows, key=lambda row: -float(row["p95"]))


def address_of(slug: str, **query: Any) -> str:
    return f"/api/v1/projects/{slug}/items?{urlencode({k: v for k, v in query.items() if v != ''}, quote_via=quote)}"


def make_cursor(slug: str, filters: dict[str, str], position: list[Any]) -> str:
    """A cursor for a place in the middle, as the server itself would sign it."""
    from annotation.api.paging import _signer

    which = [f"/api/v1/projects/{slug}/items", [[k, v] for k, v in sorted(filters.items())]]
    return str(_signer.sign_object([which, position]))


def positions_in(project: Any, state: str) -> dict[str, Callable[[], list[Any]]]:
    """Random places in the middle of each order that a state's items are at: in its first stretch, and behind it."""
    from learning.items import current_model

    chance = random.Random(3)
    found = current_model(project)
    model = found.pk if found else None

    def any_id() -> int:
        return chance.randrange(2**62)

    places: dict[str, Callable[[], list[Any]]] = {
        "id": lambda: [0, model, [any_id()]],
        "-priority": lambda: [1, model, [any_id()]],
        "-utility, behind": lambda: [1, model, [any_id()]],
    }
    if state in ("", "open"):
        places["-utility"] = lambda: [0, model, [chance.random() ** 2, 0]]
        places["-disagreement, behind"] = lambda: [1, model, [any_id()]]
    if state in ("", "agreed"):
        places["-disagreement"] = lambda: [0, model, [chance.choice([0.0, 2 / 3]), any_id()]]
    if state in ("disputed", "adjudicated"):
        places["-disagreement"] = lambda: [0, model, [1.0, any_id()]]
    return places


def ask_lists(asking: Asking, project: Any, limits: list[int]) -> None:
    """Every order with every state: first pages, pages two to ten, pages in the middle."""
    for limit, state, order in itertools.product(limits, STATES, ORDERS):
        name = f"{order}{f' state={state}' if state else ''} limit={limit}"
        first = address_of(project.slug, order=order, state=state, limit=limit)
        for _ in range(asking.repeat):
            second = asking.ask(f"{name}, first page", first, limit)
        for _ in range(max(1, asking.repeat // 8)):
            following = second
            for _ in range(9):
                if following is None:
                    break
                following = asking.ask(f"{name}, pages 2 to 10", following, limit)
        filters = {"order": order, "state": state, "q": ""}
        places = positions_in(project, state)
        for where in (one for one in places if one.split(",")[0] == order):
            behind = where.removeprefix(order)
            for _ in range(asking.repeat):
                cursor = make_cursor(project.slug, filters, places[where]())
                asking.ask(f"{name}, in the middle{behind}", f"{first}&cursor={quote(cursor)}", limit)


def ask_searches(asking: Asking, project: Any, limits: list[int]) -> None:
    """Every kind of search with every order and state: the first page and the next."""
    repeat = max(2, asking.repeat // 2)
    for limit, (told, words), state, order in itertools.product(limits, SEARCHES.items(), STATES, ORDERS):
        name = f"q: {told}, {order}{f' state={state}' if state else ''} limit={limit}"
        first = address_of(project.slug, order=order, state=state, limit=limit, q=words)
        for _ in range(repeat):
            following = asking.ask(name, first, limit)
            if following:
                asking.ask(name, following, limit)


def ask_pages(asking: Asking, project: Any) -> None:
    """The pages of the browser, and the figures that the API computes."""
    for page in PAGES:
        where = f"/p/{project.slug}/{page}"
        for _ in range(max(3, asking.repeat // 4)):
            asking.ask(f"page {where}", where)
    asking.ask("page / (all projects)", "/")
    for query in ("state=open&order=-priority", "state=disputed", "order=-utility", "q=lantern", "q=zephyr"):
        for _ in range(asking.repeat):
            asking.ask(f"page items/?{query}", f"/p/{project.slug}/items/?{query}")


def sign_in(user: Any) -> dict[str, str]:
    """A session of a person, as the sign-in page would begin it."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return {"Cookie": f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"}


def report(measurement: Measurement, name: str, asking: Asking, seconds: float | None) -> bool:
    """One result: all requests together, and each case."""
    everything = list(itertools.chain.from_iterable(asking.times.values()))
    table = asking.table()
    for row in table[:25]:
        note = f" ({row['short_pages']} short pages)" if "short_pages" in row else ""
        say(f"{row['p95']:9.1f} ms p95 {row['p50']:9.1f} ms p50  {row['case']}{note}")
    checks: Iterator[Check] = iter(())
    if seconds is not None and everything:
        p95 = percentile(everything, 95)
        worst = float(table[0]["p95"])
        checks = iter(
            [
                Check(f"{name}: p95 of all requests, ms", round(1000 * (p95 or 0), 1), "<=", 1000 * seconds),
                Check(f"{name}: p95 of the worst case, ms", worst, "<=", 1000 * seconds),
            ]
        )
    return measurement.finish({"all": in_ms(everything), "cases": table}, list(checks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=12)
    parser.add_argument("--limits", type=int, nargs="*", default=[30, 500])
    parser.add_argument("--only", choices=["lists", "q", "pages"])
    args = parser.parse_args()
    with open_site(args) as site:
        from benchmarks.million import describe, fill

        project, people = fill(args.items)
        owner, token = people[0]
        say(f"tables in MiB: {describe(site)}")
        bearer = Caller(site.port, {"Authorization": f"Bearer {token}"})
        fine = []
        for part, ask, seconds in (
            ("lists", ask_lists, LIST_SECONDS),
            ("q", ask_searches, SEARCH_SECONDS),
        ):
            if args.only in (None, part):
                measurement, asking = Measurement(f"items_{part}", args.out), Asking(bearer, args.repeat)
                ask(asking, project, args.limits)
                fine.append(report(measurement, part, asking, seconds))
        if args.only in (None, "pages"):
            measurement, asking = Measurement("pages", args.out), Asking(Caller(site.port, sign_in(owner)), args.repeat)
            ask_pages(asking, project)
            report(measurement, "pages", asking, None)
            measurement, asking = Measurement("agreement", args.out), Asking(bearer, args.repeat)
            for _ in range(3):
                asking.ask("agreement", f"/api/v1/projects/{project.slug}/agreement?question=verdict")
            report(measurement, "agreement", asking, None)
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
