"""What the last audit found and has not been mended since: for the owner's page and `/metrics`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from annotation.actions.jobs import find_done
from annotation.audit.checks import BY_NAME, Check
from annotation.models import Job, Project

KIND = "audit"


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that did not hold in the last audit. `since`: when an audit first found it so, and all since."""

    check: Check
    project_id: int | None
    n_rows: int
    since: datetime


def last_audit() -> Job | None:
    """The job of the last audit that ended well; None where there was none yet."""
    return find_done(project=None, kind=KIND)


def show_violations(job: Job | None) -> list[Violation]:
    """What an audit's job found. Checks that this version does not know any more are left out."""
    result: dict[str, Any] = (job.result if job else None) or {}
    return [
        Violation(BY_NAME[one["check"]], one["project"], one["rows"], datetime.fromisoformat(one["since"]))
        for one in result.get("violations", [])
        if one["check"] in BY_NAME
    ]


def known_violations(project: Project | None) -> list[Violation]:
    """What the last audit found in a project; with None, what belongs to no project."""
    wanted = project.pk if project else None
    return [one for one in show_violations(last_audit()) if one.project_id == wanted]
