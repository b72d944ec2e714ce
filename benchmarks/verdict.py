"""What is left of an installation that was ill-treated: all that was acknowledged, once, and a clean audit."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from config.home import ROOT
from tests.annotators import Annotators, read_stored
from tests.engineer import Engineer
from tests.installation import TOUCHSTONE

JOB_SECONDS = 120.0  # an attempt whose worker was killed is silent for 30 seconds before the next one


@dataclass
class Verdict:
    """Counts, and what is wrong in words."""

    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    stored_unheard: int = 0  # stored, and the program was stopped before it heard of it
    jobs_accepted: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} acknowledged, {self.stored} stored, acknowledged minus stored = {self.lost};"
            f" {self.jobs_accepted} jobs accepted; replies by status (0: none came) {self.statuses};"
            f" {'nothing wrong' if not self.faults else self.faults}"
        )


def judge(
    annotators: Annotators, engineer: Engineer | None, *, conninfo: str, environment: Mapping[str, str]
) -> Verdict:
    """Stop everybody, then compare what was promised with what is stored, and run `touchstone audit`."""
    annotators.stop()
    if engineer is not None:
        engineer.stop()
    verdict = Verdict(acknowledged=len(annotators.acknowledged), statuses=dict(annotators.statuses))
    stored = read_stored(conninfo)
    lost = annotators.find_lost(lambda: stored)
    verdict.stored, verdict.lost = len(stored), len(lost)
    verdict.stored_unheard = len(stored) - (verdict.acknowledged - len(lost))
    if lost:
        verdict.faults.append(f"lost: {lost}")
    if engineer is not None:
        verdict.jobs_accepted = len(engineer.promises)
        verdict.faults += engineer.find_broken(conninfo, JOB_SECONDS)
    verdict.faults += [f"{name} was told {status}: {body}" for name, status, body in annotators.faults]
    audit = subprocess.run(
        [*TOUCHSTONE, "audit"], env=dict(environment), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if audit.returncode != 0:
        verdict.faults.append(f"touchstone audit: {(audit.stdout + audit.stderr)[-2000:]}")
    return verdict
