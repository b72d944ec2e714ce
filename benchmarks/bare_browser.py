"""A Chromium driven through its debugging pipe and nothing else, to measure memory.

Playwright has each page keep the answers to all its requests for whoever looks at it, in the process of that page: at
ten answers a second to sounds of 200 kB that looks like a leak of 100 MB in a thousand.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from typing import Any

from benchmarks.measuring import read_memory


class BareBrowser:
    """One page of a headless browser of its own."""

    _session: str | None = None

    def __init__(self, chromium: str, address: str) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        for_browser, to_browser = os.pipe()
        from_browser, for_us = os.pipe()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self._folder.name}"]
        # The browser reads from 3 and writes to 4, whatever the numbers are here.
        swap = f"exec 3<&{for_browser} 4>&{for_us}; exec {chromium} --remote-debugging-pipe {' '.join(options)}"
        self._process = subprocess.Popen(
            ["bash", "-c", swap], pass_fds=(for_browser, for_us), stderr=subprocess.DEVNULL
        )
        os.close(for_browser)
        os.close(for_us)
        self._out, self._in, self._rest, self._n = to_browser, from_browser, b"", 0
        page = self.send("Target.createTarget", url=address)["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self.send("Performance.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its result."""
        self._n += 1
        call: dict[str, Any] = {"id": self._n, "method": method, "params": params}
        is_of_page = self._session and method.partition(".")[0] not in ("Target", "SystemInfo", "Browser")
        os.write(self._out, json.dumps(call | ({"sessionId": self._session} if is_of_page else {})).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                fresh = os.read(self._in, 1 << 16)
                assert fresh, "the browser is gone"
                self._rest += fresh
            line, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._n:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def evaluate(self, script: str) -> Any:
        """What a script gives, awaited."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = 30) -> None:
        """Until a script gives something true."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < deadline, script
            time.sleep(0.05)

    def weigh(self) -> dict[str, float]:
        """What the page holds after its garbage is collected; `process_mb` is what its process has for itself."""
        for _ in range(3):
            self.send("HeapProfiler.collectGarbage")
        found = {one["name"]: one["value"] for one in self.send("Performance.getMetrics")["metrics"]}
        processes = self.send("SystemInfo.getProcessInfo")["processInfo"]
        return {
            "heap_kb": round(found["JSHeapUsedSize"] / 1000),
            "nodes": int(found["Nodes"]),
            "listeners": int(found["JSEventListeners"]),
            "process_mb": read_memory([int(one["id"]) for one in processes if one["type"] == "renderer"])["anon"],
        }

    def close(self) -> None:
        """End the browser."""
        self.send("Browser.close")
        self._process.wait(20)
        os.close(self._out)
        os.close(self._in)
        self._folder.cleanup()
