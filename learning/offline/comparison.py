"""Strategies compared on a labelled file: what is learned from, what judges, and word of how far the runs are.

The same features, model and strategies as in a real round, without a database: the file is asked for its own labels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.sentence_models import SentenceModelError
from learning.features.counting import count_cores
from learning.features.encoding import encode_texts
from learning.offline.labels import MIN_JUDGES, TextFile
from learning.offline.tables import FileError, Tell

if TYPE_CHECKING:
    from learning.algorithms.cold_start import ColdStart
    from learning.algorithms.label_efficiency import StrategyComparison
    from learning.algorithms.side_by_side import Comparing, Task
    from learning.algorithms.simulation import LabelledFile

COLD_STRATEGIES = ("adaptive", "keywords", "random")
# Figures of a label go by so many rows that judge and have it, at least.
MIN_POSITIVE = 10
MAX_KEYWORDS_FILE = 1_000_000
MAX_PROCESSES = 8
# Labels in all runs together: with fewer, starting processes takes longer than they save.
MANY_LABELS = 5_000
# How far the runs are is told no more often than this.
TELL_SECONDS = 5.0
# From so much of the work on its time tells something of the rest's.
KNOWN_SHARE = 0.03


@dataclass(frozen=True, eq=False)
class Report:
    """What came of it. `n_judging`: rows that judge, by label."""

    file: TextFile
    seeds: list[int]
    random_share: float
    estimator: str
    comparison: StrategyComparison
    n_judging: NDArray[np.int64]
    cold_starts: list[ColdStart] = field(default_factory=list)
    n_thinned: tuple[int, int] = (0, 0)

    @property
    def is_judged(self) -> bool:
        """Whether enough rows that judge have the label that is looked for."""
        return bool(self.n_judging[self.comparison.positive] >= MIN_POSITIVE)


def read_keywords(sent: str) -> str:
    """A policy's words: the content of a file where there is one of this name, else what was sent."""
    try:
        path = Path(sent)
        if path.is_file():
            with path.open(encoding="utf-8-sig") as file:
                return file.read(MAX_KEYWORDS_FILE)
    except UnicodeDecodeError as error:
        raise FileError(_("%(name)s is not a text file in UTF-8.") % {"name": sent}) from error
    except OSError:  # too long for a name: it is the text itself
        pass
    return sent


def split_rows(file: TextFile, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which rows judge: a fifth of each label, or so much more that it is 100 rows."""
    from learning.algorithms.label_efficiency import HOLDOUT_SHARE, split_holdout

    y = file.y
    if file.is_several:  # by the rarest label that a text has, or by having none
        by_rarity = np.argsort(file.counts, kind="stable")
        y = np.where(y.any(axis=1), y[:, by_rarity].argmax(axis=1), len(file.names))
    return split_holdout(y, rng, max(HOLDOUT_SHARE, MIN_JUDGES / len(y)))


def find_positive(file: TextFile, wanted: str | None, n_judging: NDArray[np.int64]) -> int:
    """The code of the label that is looked for: the one asked for, or the rarest of those that can be judged."""
    if wanted is not None:
        if wanted.strip() not in file.names:
            raise FileError(
                _("No row has the label %(name)s. There are: %(known)s.")
                % {"name": wanted, "known": ", ".join(file.names[:20])}
            )
        return file.names.index(wanted.strip())
    counts = file.counts
    enough = np.flatnonzero(n_judging >= MIN_POSITIVE)
    if not file.is_several:
        enough = enough[enough != counts.argmax()]
    candidates = enough if len(enough) else np.flatnonzero(counts > 0)
    return int(candidates[counts[candidates].argmin()])


def prepare(
    file: TextFile,
    holdout: NDArray[np.bool_],
    *,
    seed: int,
    n_annotators: int = 3,
    keywords: str | None = None,
    estimator: str = "auto",
    text_features: str = "auto",
) -> LabelledFile:
    """Features of all rows. They know the pool only."""
    from scipy import sparse

    from learning.algorithms.basis import fit_basis
    from learning.algorithms.estimators.recipes import Recipe
    from learning.algorithms.features import SENTENCES, Block, Features, choose_text_blocks, count_texts, fit_texts
    from learning.algorithms.simulation import LabelledFile
    from learning.algorithms.strategies.keywords import similarity_to

    blocks = choose_text_blocks(text_features, file.texts, len(file.texts))
    counts = count_texts(file.texts, blocks)
    fitted: dict[str, Block] = dict(fit_texts({name: found[~holdout] for name, found in counts.items()}))
    counted, rows = Features(dict(fitted)), dict[str, Any](counts)
    if SENTENCES in blocks:
        try:
            fitted[SENTENCES], rows[SENTENCES] = encode_texts(file.texts)
        except SentenceModelError as error:
            raise FileError(_("--text-features sentences: %(reason)s.") % {"reason": error}) from error
    features = Features(fitted)
    X = sparse.csr_matrix(features.join(rows, len(file.texts)))
    if not X[~holdout].nnz:
        raise FileError(_("The texts have nothing that a model could learn from."))
    similarity = None
    if keywords is not None:
        policy = sparse.csr_matrix(counted.join(count_texts([keywords], blocks), 1))
        if not policy.nnz:
            raise FileError(_("None of the words in --keywords occurs in the texts."))
        similarity = similarity_to(sparse.csr_matrix(counted.join(counts, len(file.texts))), policy)
    return LabelledFile(
        X,
        file.y,
        holdout,
        n_classes=len(file.names),
        basis=fit_basis(X[~holdout], np.random.default_rng([seed, 5])),
        votes=file.votes,
        n_annotators=n_annotators,
        similarity=similarity,
        recipe=Recipe(estimator, features.parts),
    )


def compare_file(file: TextFile, options: argparse.Namespace, strategies: Sequence[str], tell: Tell) -> Report:
    """Everything that the command prints. FileError where the options do not fit the file."""
    from learning.algorithms.cold_start import join_starts
    from learning.algorithms.estimators import TooFewClassesError, UnsuitableError
    from learning.algorithms.label_efficiency import StrategyComparison, join_runs
    from learning.algorithms.side_by_side import COLD, CURVE, WHOLE, Comparing, Task, play_all

    check_strategies(file, strategies)
    holdout = split_rows(file, np.random.default_rng([options.seed, 3]))
    n_judging = count_labels(file, holdout)
    positive = find_positive(file, options.positive, n_judging)
    keywords = None if options.keywords is None else read_keywords(options.keywords)
    tell(_("Making features of the texts."))
    labelled = prepare(
        file,
        holdout,
        seed=options.seed,
        n_annotators=options.annotators,
        keywords=keywords,
        estimator=options.estimator,
        text_features=options.text_features,
    )
    thin = None if keywords is None else _thin_out(labelled, positive, options.seed)
    comparing = Comparing(
        # Without the words: these curves all start from the same random batch.
        replace(labelled, similarity=None),
        [options.batch] * options.rounds,
        positive,
        options.random_share,
        file.scale,
        thin,
    )
    seeds = list(range(options.seed, options.seed + options.seeds))
    whole = Task(WHOLE)
    cold = COLD_STRATEGIES if thin is not None else ()
    tasks = [whole, *(Task(CURVE, name, seed) for name in strategies for seed in seeds)]
    tasks += [Task(COLD, name, seed) for name in cold for seed in seeds]
    n_processes = count_processes(options, comparing, len(tasks))
    progress = Progress(comparing, tasks, tell)
    try:
        found = play_all(comparing, tasks, n_processes, progress.hear)
    except (UnsuitableError, TooFewClassesError) as error:
        raise FileError(str(error)) from error
    except BrokenProcessPool as error:
        raise FileError(
            _("A process was ended from outside; where memory is short, --processes 1 takes the least.")
        ) from error
    return Report(
        file,
        seeds,
        options.random_share,
        options.estimator,
        StrategyComparison(
            positive,
            found[whole],
            tuple(join_runs(name, [found[Task(CURVE, name, seed)] for seed in seeds]) for name in strategies),
            len(labelled.pool),
            len(labelled.judges),
        ),
        n_judging,
        [join_starts(name, [found[Task(COLD, name, seed)] for seed in seeds]) for name in cold],
        (0, 0) if thin is None else (int(thin.y[thin.pool].sum()), len(thin.pool)),
    )


def check_strategies(file: TextFile, strategies: Sequence[str]) -> None:
    """FileError for what does not choose among labels of which several may hold."""
    from learning.algorithms.strategies import RARE, find_strategy

    unfit = [name for name in strategies if find_strategy(name).needs_committee or name == RARE.name]
    if file.is_several and unfit:
        raise FileError(_("%(names)s: for labels that exclude each other only.") % {"names": ", ".join(unfit)})


def count_labels(file: TextFile, used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of each label among those that are marked, (n_labels,)."""
    y = file.y[used]
    return np.asarray(y.sum(axis=0) if file.is_several else np.bincount(y, minlength=len(file.names)), np.int64)


def _thin_out(labelled: LabelledFile, positive: int, seed: int) -> LabelledFile:
    from learning.algorithms.cold_start import thin_out

    thin = thin_out(labelled, positive, np.random.default_rng([seed, 6]))
    if not thin.y[thin.pool].any():
        raise FileError(_("Too few rows have the label that is looked for: leave --keywords out, or see --positive."))
    return thin


def count_processes(options: argparse.Namespace, comparing: Comparing, n_tasks: int) -> int:
    """In how many processes to run: those asked for, else one for each core where there is much to do."""
    if options.processes is not None:
        return int(options.processes)
    n_labels = min(sum(comparing.batches), len(comparing.file.pool)) * n_tasks
    return 1 if n_labels < MANY_LABELS else min(n_tasks, count_cores(), MAX_PROCESSES)


class Progress:
    """Tells, every few seconds, what share of the work is done and about how long the rest takes.

    Work is counted in labels that models were fitted on: time goes mostly there, and to scoring the pool.
    """

    def __init__(self, comparing: Comparing, tasks: Sequence[Task], tell: Tell) -> None:
        self.tell, self.n_pool = tell, len(comparing.file.pool)
        self.n_tasks, self.n_done = len(tasks), 0
        ends = np.minimum(np.cumsum(comparing.batches), self.n_pool)
        self.rounds = int((ends < self.n_pool).sum()) + int((ends == self.n_pool).any())
        self.of_curve = sum(self._weigh(int(end)) for end in ends[: self.rounds])
        self.total = float(sum(self._weigh_task(task) for task in tasks))
        self.heard: dict[Task, float] = {}
        self.first: tuple[float, float] | None = None
        self.told = time.monotonic()

    def _weigh(self, n_labels: int) -> float:
        return n_labels + self.n_pool / 50

    def _weigh_task(self, task: Task) -> float:
        from learning.algorithms.side_by_side import COLD, WHOLE

        if task.kind == WHOLE:
            return float(self.n_pool)
        return 10 * self._weigh(110) if task.kind == COLD else self.of_curve

    def hear(self, task: Task, n_labels: int) -> None:
        """Of a task's labels after a round, or (-1) that it is done."""
        if n_labels < 0:
            self.n_done += 1
            self.heard[task] = self._weigh_task(task)
        elif self.heard.get(task, 0.0) < self._weigh_task(task):
            self.heard[task] = self.heard.get(task, 0.0) + self._weigh(n_labels)
        now, done = time.monotonic(), sum(self.heard.values())
        # From the first news on: before them processes start.
        self.first = self.first or (now, done)
        if now - self.told < TELL_SECONDS or done >= self.total:
            return
        self.told = now
        told: dict[str, Any] = {"share": f"{done / self.total:.0%}", "n": self.n_done, "of": self.n_tasks}
        said = _("%(share)s, %(n)d of %(of)d runs done") % told
        since, had = self.first
        if done - had > KNOWN_SHARE * self.total:
            left = describe_time((now - since) * (self.total - done) / (done - had))
            said += "; " + _("about %(left)s left") % {"left": left}
        self.tell(f"{said}.")


def describe_time(seconds: float) -> str:
    """A time as people say it, in seconds below two minutes, else in minutes."""
    if seconds < 120:
        return _("%(n)d s") % {"n": max(5, round(seconds / 5) * 5)}
    return _("%(n)d min") % {"n": round(seconds / 60)}
