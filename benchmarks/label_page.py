"""Measure the labelling page in a real Chromium: what the first load costs, and key press to next item on the screen.

    python benchmarks/label_page.py --url http://127.0.0.1:8000 --project digits --user NAME --password-file FILE

The project asks one question with one key (the demo's digits do). Every key press stores a real answer of that person.
A time ends with the first frame after the next item is in the page and its image decoded. With `--delay` the server is
as far away as that: the browser holds back every request. Memory is the page's, after a collection of its garbage.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

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


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--project", default="digits")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--labels", type=int, default=32)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between an item and the next key press")
    parser.add_argument("--delay", type=float, default=0, help="milliseconds that every request takes longer")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    return parser.parse_args()


def press_keys(page: Page, labels: int, pause: float) -> list[float]:
    """Milliseconds from each key press to the next item's first frame, ascending."""
    page.evaluate(WATCH)
    for n in range(1, labels + 1):
        page.keyboard.press(str(n % 10))
        deadline = time.monotonic() + 10
        while page.evaluate("window.shownAfter.length") < n:
            if time.monotonic() > deadline:
                raise SystemExit(f"The item after key press {n} never came.")
            page.wait_for_timeout(2)
        page.wait_for_timeout(pause * 1000)
    return sorted(page.evaluate("window.shownAfter"))


def read_memory(session: CDPSession) -> dict[str, int]:
    """What the page holds: bytes of JavaScript's heap, nodes and listeners of the document."""
    session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: int(one["value"]) for one in session.send("Performance.getMetrics")["metrics"]}
    return {
        "heap_bytes": metrics["JSHeapUsedSize"],
        "nodes": metrics["Nodes"],
        "listeners": metrics["JSEventListeners"],
    }


def main() -> None:
    args = read_arguments()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{args.url}/sign-in/")
        page.fill("input[name=username]", args.user)
        page.fill("input[name=password]", args.password_file.read_text().strip())
        page.click("main button[type=submit]")
        page.wait_for_selector(".who")
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.send("Network.clearBrowserCache")
        network.send("Performance.enable")
        if args.delay:
            far = {"offline": False, "latency": args.delay, "downloadThroughput": -1, "uploadThroughput": -1}
            network.send("Network.emulateNetworkConditions", far)
        received: list[int] = []
        network.on("Network.loadingFinished", lambda event: received.append(int(event["encodedDataLength"])))
        started = time.perf_counter()
        page.goto(f"{args.url}/p/{args.project}/label/", wait_until="commit")
        page.wait_for_selector("#item .item")
        shown = time.perf_counter() - started
        page.wait_for_timeout(2000)
        first = (len(received), sum(received))
        before = read_memory(network)
        times = press_keys(page, args.labels, args.pause)
        page.wait_for_timeout(2000)
        print(
            json.dumps(
                {
                    "first_load": {"requests": first[0], "bytes": first[1], "item_shown_s": round(shown, 2)},
                    "delay_ms": args.delay,
                    "labels": len(times),
                    "key_to_next_item_ms": {
                        "median": round(times[len(times) // 2], 1),
                        "p95": round(times[min(len(times) - 1, int(0.95 * len(times)))], 1),
                        "max": round(times[-1], 1),
                    },
                    "requests_per_label": round((len(received) - first[0]) / len(times), 1),
                    "bytes_per_label": round((sum(received) - first[1]) / len(times)),
                    "memory": {"before": before, "after": read_memory(network)},
                }
            )
        )
        browser.close()


if __name__ == "__main__":
    main()
