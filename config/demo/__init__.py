"""The material of the two demo projects, and the readers for it.

`community/` and `digits/` hold a label schema and a guideline each, in the shapes that the API takes; `community/` also
holds the comments, which were written for this project: every person, number and address in them is invented. The
images of `digits` come out of scikit-learn (`digits.py`); `annotators.py` simulates the people. No Django in here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, get_args

ProjectName = Literal["community", "digits"]
Verdict = Literal["none", "spam", "insult", "off_topic", "personal_info"]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment of the community project.

    `group` is the pseudonym of who wrote it, `truth` the verdict that its author intended, and `hard` (0 to 1) how
    easily a sensible person may see it otherwise: above 0.6 two careful readers may well differ.
    """

    external_id: str
    group: str
    text: str
    truth: Verdict
    hard: float


def load_comments() -> list[Comment]:
    """Every comment, in the order of the file: a few hundred, already well mixed."""
    lines = files(__name__).joinpath("community", "comments.jsonl").read_text(encoding="utf-8").splitlines()
    return [Comment(**json.loads(line)) for line in lines]


def load_schema(project: ProjectName) -> dict[str, Any]:
    """The label schema of a demo project, as `POST projects` takes it under `schema`."""
    return _load_json(project, "schema.json")


def load_guideline(project: ProjectName) -> dict[str, Any]:
    """The guideline of a demo project, as `PUT projects/SLUG/guideline` takes it."""
    return _load_json(project, "guideline.json")


def _load_json(project: ProjectName, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(files(__name__).joinpath(project, name).read_text(encoding="utf-8"))
    return loaded
