"""Measure the labelling page in a real Chromium: its first load, key press to next item, and an hour of work.

    python -m benchmarks.label_page                                      # all of it; about ten minutes
    python -m benchmarks.label_page keys --delay 300 --pause 0.15        # one part

`cold` loads the page with an empty cache, for each kind of content, with two more items behind the one shown. What is
counted is everything until two seconds after the item is there; the bytes of what is labelled, the three items and what
was made of their files, stand apart.

`keys` answers at a person's pace, one key an item, each with an image of its own. A time ends with the first frame
after the next item is in the page and its image decoded. With a delay the server is as far away as that: the browser
holds back every request.

`hour` gives as many answers as somebody gives in an hour, to every kind of content in turn, and reads what the page
holds after its garbage is collected: JavaScript's heap, nodes (those out of the document too), listeners, and the
private memory of the process that draws it.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.bare_browser import BareBrowser
from benchmarks.desk_content import Parts, draw_harbour, make_content
from benchmarks.desk_pictures import PASSWORD, fill_project, prepare_owner, sign_in, wait_for_derivatives
from benchmarks.installation import Site, add_options, open_site
from benchmarks.measuring import Check, Measurement, percentile, say

PHASES = ("cold", "keys", "hour")
MOST_REQUESTS = 25
MOST_BYTES = 150_000
MOST_MS = 50.0
WARM_UP = 200  # answers before memory is read for the first time
READINGS = 10
WATCH = """() => {
  window.shownAfter = [];
  let pressedAt = 0;
  document.addEventListener("keydown", (event) => { if (/\\d/.test(event.key)) pressedAt = performance.now(); }, true);
  new MutationObserver(() => {
    if (!pressedAt || !document.querySelector("#item .item")) return;
    const since = pressedAt;
    pressedAt = 0;
    const image = document.querySelector("#item img");
    (image ? image.decode() : Promise.resolve()).then(() => requestAnimationFrame(() => {
      const afterPaint = new MessageChannel();
      afterPaint.port1.onmessage = () => window.shownAfter.push(performance.now() - since);
      afterPaint.port2.postMessage(0);
    }));
  }).observe(document.getElementById("item"), { childList: true });
}"""
# Answers until there are so many, as quickly as items come; every tenth is looked at more closely first.
ANSWER = """async (wanted) => {
  const count = () => Number(document.getElementById("n-sitting").textContent);
  const isShown = () => !document.getElementById("desk").hidden && document.querySelector("#item .item");
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const press = (key) => document.getElementById("item").dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  for (let n = count(); n < wanted; n += 1) {
    if (n % 10 === 0) for (const key of ["+", ".", "x", "u", " "]) { press(key); await wait(20); }
    press(String((n % 3) + 1));
    while (count() <= n || !isShown()) await wait(4);
    await wait(20);
  }
}"""


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("phases", nargs="*", help=f"of {', '.join(PHASES)}; all of them unless some are named")
    parser.add_argument("--only", nargs="*", help="cold, hour: these kinds of content alone")
    parser.add_argument("--labels", type=int, default=60, help="keys: how many")
    parser.add_argument("--pause", type=float, default=0.3, help="keys: seconds between an item and the next key press")
    parser.add_argument("--delay", type=float, nargs="*", default=[0, 100], help="keys: ms that each request waits")
    parser.add_argument("--answers", type=int, default=3000, help="hour: how many")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    args = parser.parse_args()
    if unknown := set(args.phases) - set(PHASES):
        parser.error(f"no such phase: {', '.join(sorted(unknown))}")
    return args


# --- What is labelled ------------------------------------------------------------------------------------------------


def make_photos(n: int) -> Iterator[Parts]:
    """Images of 640 x 400 pixels, no two alike: each is fetched."""
    for number in range(n):
        out = io.BytesIO()
        draw_harbour(640, 400, number / n).save(out, "JPEG", quality=85)
        yield [{"name": "photo", "kind": "image", "media": out.getvalue()}]


def fill_site(args: argparse.Namespace, phases: list[str]) -> list[str]:
    """The projects that the phases need; returns the kinds of content whose page is loaded."""
    contents = [make_content(variant) for variant in range(3)]
    kinds = [name for name in contents[0] if not args.only or name in args.only]
    owner = prepare_owner()
    if "cold" in phases:
        for name in kinds:
            fill_project(name, [content[name] for content in contents], owner)
    if "keys" in phases:
        fill_project("photos", make_photos((args.labels + 5) * len(args.delay)), owner)
    if "hour" in phases:
        names = args.only or ("text", "image", "audio", "video", "mixed", "hidden-characters")
        turns = [content[name] for content in contents for name in names]
        fill_project("hour", islice(cycle(turns), args.answers + 5), owner)
    wait_for_derivatives()
    return kinds


# --- The browser -----------------------------------------------------------------------------------------------------


def open_page(browser: Browser, site: Site) -> tuple[Page, CDPSession]:
    """A page of somebody who has signed in, in a browser that has nothing yet."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.on("pageerror", lambda error: say(f"error: {error}"))
    sign_in(page, site)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.clearBrowserCache")
    return page, session


def hold_back(session: CDPSession, milliseconds: float) -> None:
    """Make the server seem that far away; 0: as it is."""
    if milliseconds:
        far = {"offline": False, "latency": milliseconds, "downloadThroughput": -1, "uploadThroughput": -1}
        session.send("Network.emulateNetworkConditions", far)


def open_desk(page: Page, site: Site, project: str) -> float:
    """The desk of a project; returns the seconds until its first item stands there."""
    started = time.perf_counter()
    page.goto(f"http://127.0.0.1:{site.port}/p/{project}/label/", wait_until="commit")
    page.wait_for_selector("#item .item")
    return time.perf_counter() - started


class Traffic:
    """Requests, and the bytes on the line of those that came to an end; what is labelled apart."""

    def __init__(self, session: CDPSession) -> None:
        self._addresses: dict[str, str] = {}
        self.requests = self.content_requests = self.bytes = self.content_bytes = 0
        session.on("Network.requestWillBeSent", self._note)
        session.on("Network.loadingFinished", self._count)

    def _note(self, event: dict[str, Any]) -> None:
        self._addresses[event["requestId"]] = event["request"]["url"]
        self.requests += 1
        self.content_requests += self._is_content(event)

    def _count(self, event: dict[str, Any]) -> None:
        size = int(event["encodedDataLength"])
        if self._is_content(event):
            self.content_bytes += size
        else:
            self.bytes += size

    def _is_content(self, event: dict[str, Any]) -> bool:
        address = self._addresses.get(event["requestId"], "").partition("?")[0]
        return "/media/" in address or address.endswith(("/leases", "/annotation"))

    def as_json(self) -> dict[str, int]:
        return {
            "requests": self.requests,
            "bytes": self.bytes,
            "content_requests": self.content_requests,
            "content_bytes": self.content_bytes,
        }


# --- What is measured ------------------------------------------------------------------------------------------------


def measure_cold(browser: Browser, site: Site, kinds: list[str], args: argparse.Namespace) -> bool:
    """The first load of the page with each kind of content."""
    measurement, figures, checks = Measurement("desk_cold", args.out), {}, []
    for kind in kinds:
        page, session = open_page(browser, site)
        traffic = Traffic(session)
        seconds = open_desk(page, site, kind)
        page.wait_for_timeout(2000)
        found = traffic.as_json()
        figures[kind] = found | {"item_shown_s": round(seconds, 2)}
        checks += [
            Check(f"{kind}: requests", found["requests"], "<=", MOST_REQUESTS),
            Check(f"{kind}: bytes without what is labelled", found["bytes"], "<=", MOST_BYTES),
        ]
        page.context.close()
    return measurement.finish(figures, checks)


def measure_keys(browser: Browser, site: Site, delay: float, args: argparse.Namespace) -> bool:
    """Milliseconds from a key press to the next item's first frame."""
    measurement = Measurement(f"desk_keys_{delay:g}", args.out)
    page, session = open_page(browser, site)
    hold_back(session, delay)
    open_desk(page, site, "photos")
    page.wait_for_timeout(2000)
    traffic = Traffic(session)
    page.evaluate(WATCH)
    for n in range(1, args.labels + 1):
        page.keyboard.press(str(n % 3 + 1))
        deadline = time.monotonic() + 20
        while page.evaluate("window.shownAfter.length") < n:
            if time.monotonic() > deadline:
                raise SystemExit(f"The item after key press {n} never came.")
            page.wait_for_timeout(2)
        page.wait_for_timeout(args.pause * 1000)
    page.wait_for_timeout(1000)
    times = sorted(page.evaluate("window.shownAfter"))
    page.context.close()
    found = {name: round(percentile(times, q) or 0, 1) for name, q in (("median", 50), ("p95", 95))}
    figures = {
        "delay_ms": delay,
        "labels": len(times),
        "key_to_next_item_ms": found | {"max": round(times[-1], 1)},
        "requests_per_label": round(traffic.requests / len(times), 2),
    }
    return measurement.finish(
        figures, [Check(f"{delay:g} ms away: key press to next item, p95, ms", found["p95"], "<=", MOST_MS)]
    )


def measure_hour(site: Site, args: argparse.Namespace) -> bool:
    """What the page holds while the answers of an hour are given, as quickly as it takes them."""
    measurement = Measurement("desk_hour", args.out)
    browser = BareBrowser(args.chromium, f"http://127.0.0.1:{site.port}/sign-in/?next=/p/hour/label/")
    browser.wait_for("document.querySelector('input[name=password]')?.form !== undefined")
    for name, value in (("username", "owner"), ("password", PASSWORD)):
        browser.evaluate(f"document.querySelector('input[name={name}]').value = {json.dumps(value)}; 1")
    browser.evaluate("document.querySelector('main button[type=submit]').click()")
    browser.wait_for("Boolean(document.querySelector('#item .item'))")
    readings = []
    for n in range(READINGS + 1):
        answers = WARM_UP + round(n * (args.answers - WARM_UP) / READINGS)
        browser.evaluate(f"({ANSWER})({answers})")
        time.sleep(1.5)
        readings.append({"answers": answers} | browser.weigh())
        say(str(readings[-1]))
    browser.close()
    # A reading depends on which kinds of content are in hand just then: the highest of each half are compared.
    early, late = readings[: len(readings) // 2], readings[-(len(readings) // 2) :]
    checks = [
        Check(f"{name}, second half beside the first", round(most_of(late, name) / most_of(early, name), 3), "<=", 1.1)
        for name in ("heap_kb", "nodes", "listeners", "process_mb")
    ]
    return measurement.finish({"readings": readings}, checks)


def most_of(readings: list[dict[str, float]], name: str) -> float:
    return max(one[name] for one in readings)


def main() -> None:
    args = read_arguments()
    phases = args.phases or list(PHASES)
    fine = []
    with open_site(args) as site:
        kinds = fill_site(args, phases)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
            if "cold" in phases:
                fine.append(measure_cold(browser, site, kinds, args))
            if "keys" in phases:
                fine += [measure_keys(browser, site, delay, args) for delay in args.delay]
            if "hour" in phases:
                fine.append(measure_hour(site, args))
            browser.close()
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
