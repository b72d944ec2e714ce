"""Three simulated annotators for the community project, of different skill and with habits of their own.

They know each comment's intended verdict and how hard it is, and err as people do: more often where it is hard, and in
a direction of their own. Pure functions of their arguments and the generator; numpy only.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from config.demo import VERDICTS, Comment, Verdict

# Words of anger at a thing or a decision. A newcomer takes them for an attack on somebody.
_HEATED: Final = re.compile(
    r"\b(asham\w+|complete|disgrace|dangerous|enough|excuses|fed up|idiotic|joke|lazy|liar|prison|rip-off|rude|shame\w*"
    r"|sarcas\w+|stop|stupid|terrible|useless|vile|wrong|wonderful|brilliant|congratulations|great job)\b",
    re.IGNORECASE,
)

_BASE_TONE: Final[Mapping[Verdict, int]] = {"none": 4, "spam": 3, "insult": 1, "off_topic": 3, "personal_info": 3}


@dataclass(frozen=True, slots=True)
class Annotator:
    """A simulated person.

    The chance of the intended verdict falls in a straight line from `when_easy` (hard 0) to `when_hard` (hard 1).
    `slips` weighs the wrong answers; what it leaves out is equally likely. `heat_bias` is the chance to call an angry
    comment that breaks nothing an insult, before anything else is looked at. `tone_share` is how often the optional
    tone is given, `base_seconds` and `seconds_per_word` make the pace, `admits_doubt` is the chance to mark a hard
    one as unsure.
    """

    name: str
    when_easy: float
    when_hard: float
    slips: Mapping[Verdict, Mapping[Verdict, float]]
    heat_bias: float
    tone_share: float
    base_seconds: float
    seconds_per_word: float
    admits_doubt: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What an annotator submits: answers by question name, active seconds (above 0), and doubt."""

    answers: dict[str, str | int]
    seconds: float
    unsure: bool


CAREFUL: Final = Annotator(
    name="careful",
    when_easy=0.99,
    when_hard=0.82,
    slips={"none": {"insult": 0.4, "spam": 0.4, "off_topic": 0.15, "personal_info": 0.05}, "insult": {"none": 1.0}},
    heat_bias=0.0,
    tone_share=0.95,
    base_seconds=4.0,
    seconds_per_word=0.32,
    admits_doubt=0.6,
)
QUICK: Final = Annotator(
    name="quick",
    when_easy=0.93,
    when_hard=0.5,
    # reads the first half and lets things pass
    slips={verdict: {"none": 0.85} for verdict in VERDICTS if verdict != "none"},
    heat_bias=0.0,
    tone_share=0.5,
    base_seconds=1.2,
    seconds_per_word=0.1,
    admits_doubt=0.05,
)
NEW: Final = Annotator(
    name="new",
    when_easy=0.82,
    when_hard=0.36,
    slips={"none": {"insult": 0.45, "off_topic": 0.35, "spam": 0.15, "personal_info": 0.05}},
    heat_bias=0.8,
    tone_share=0.75,
    base_seconds=5.0,
    seconds_per_word=0.4,
    admits_doubt=0.35,
)
ANNOTATORS: Final[tuple[Annotator, ...]] = (CAREFUL, QUICK, NEW)


def answer(annotator: Annotator, comment: Comment, rng: np.random.Generator) -> Reply:
    """One reply to one comment: a verdict, perhaps a tone (1 to 5), and how long it took.

    The same arguments and the same state of `rng` give the same reply. The number of draws varies, so give every reply
    a generator of its own (`reply_rng`) where the order of work must not matter.
    """
    verdict = _choose_verdict(annotator, comment, rng)
    answers: dict[str, str | int] = {"verdict": verdict}
    if rng.random() < annotator.tone_share:
        answers["tone"] = _rate_tone(comment, verdict, rng)
    n_words = len(comment.text.split())
    pace = (annotator.base_seconds + annotator.seconds_per_word * n_words) * (1 + 0.8 * comment.hard)
    # reading times are skewed: now and then somebody pours a cup of tea
    seconds = round(max(0.7, float(pace * rng.lognormal(mean=0.0, sigma=0.35))), 1)
    unsure = comment.hard > 0.5 and rng.random() < annotator.admits_doubt
    return Reply(answers=answers, seconds=seconds, unsure=bool(unsure))


def reply_rng(annotator: Annotator, comment: Comment, seed: int) -> np.random.Generator:
    """A generator for this person, comment and seed (0 or above) alone.

    Work that was broken off half way and goes on later then ends in the same replies, in whatever order they come.
    """
    return np.random.default_rng([seed, zlib.crc32(f"{annotator.name}:{comment.external_id}".encode())])


def is_heated(comment: Comment) -> bool:
    """Whether the comment has a word of anger or mock praise in it and is not plainly friendly (hard below 0.3)."""
    return comment.hard >= 0.3 and _HEATED.search(comment.text) is not None


def _choose_verdict(annotator: Annotator, comment: Comment, rng: np.random.Generator) -> Verdict:
    if comment.truth == "none" and is_heated(comment) and rng.random() < annotator.heat_bias:
        return "insult"
    p_right = annotator.when_easy + (annotator.when_hard - annotator.when_easy) * comment.hard
    if rng.random() < p_right:
        return comment.truth
    wrong = [verdict for verdict in VERDICTS if verdict != comment.truth]
    weights = annotator.slips.get(comment.truth, {})
    n_unweighted = sum(verdict not in weights for verdict in wrong)
    rest = max(0.0, 1.0 - sum(weights.values())) / max(1, n_unweighted)
    p = np.array([weights.get(verdict, rest) for verdict in wrong])
    return wrong[int(rng.choice(len(wrong), p=p / p.sum()))]


def _rate_tone(comment: Comment, verdict: Verdict, rng: np.random.Generator) -> int:
    """A tone from 1 to 5, within one step of what the comment and the person's own verdict suggest."""
    heated = comment.truth == "none" and is_heated(comment)
    base = 2 if heated and verdict != "insult" else _BASE_TONE[verdict]
    step = int(rng.choice([-1, 0, 1], p=[0.15, 0.7, 0.15]))
    return min(5, max(1, base + step))
