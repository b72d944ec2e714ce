"""Consensus methods against published numbers, a plain implementation, planted truths, real files, and their limits."""

from __future__ import annotations

import csv
import doctest
import itertools
import lzma
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from reviewers.algorithms import crowd, dawid_skene, glad, latent_truth, mace, majority, one_coin
from reviewers.algorithms.crowd import NO_LABELS, NO_OVERLAP, ONE_CLASS, Consensus, CrowdLabels, UnfitLabelsError

Method = Callable[[CrowdLabels], Consensus]

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not beside this checkout")

# As they are used. They stop at the same iteration whatever the order of the sums, because what rounding leaves is far
# below what they stop at.
VOTED: dict[str, Method] = {"majority": majority.majority_vote, "weighted_vote": majority.weighted_vote}
METHODS = VOTED | {
    "dawid_skene": dawid_skene.dawid_skene,
    "dawid_skene, unsmoothed": partial(dawid_skene.dawid_skene, smoothing=0),
    "one_coin": one_coin.one_coin,
    "shared_coin": partial(one_coin.one_coin, is_shared=True),
    "mace": mace.mace,
    "glad": glad.glad,
}
# The same, stopping only where nothing at all is gained: for what holds at a maximum.
UNSMOOTHED = partial(dawid_skene.dawid_skene, smoothing=0, tolerance=1e-14, max_iterations=5000)
FITTED: dict[str, Method] = {
    "dawid_skene": partial(dawid_skene.dawid_skene, tolerance=1e-14, max_iterations=5000),
    "dawid_skene, unsmoothed": UNSMOOTHED,
    "one_coin": partial(one_coin.one_coin, tolerance=1e-14, max_iterations=5000),
    "shared_coin": partial(one_coin.one_coin, is_shared=True, tolerance=1e-14, max_iterations=5000),
    "mace": partial(mace.mace, tolerance=1e-14, max_iterations=5000),
}
RESTED_GLAD = partial(glad.glad, tolerance=1e-14, max_iterations=5000)

# Dawid and Skene (1979), table 1: 45 patients judged by five anaesthetists, the first of them three times.
PATIENTS = """
111 1 1 1 1|333 4 3 3 4|112 2 1 2 2|222 3 1 2 1|222 3 2 2 2|222 3 3 2 2|122 2 1 1 1|333 3 4 3 3|222 2 2 2 3|232 2 2 2 3
444 4 4 4 4|222 3 3 4 3|111 1 1 1 1|222 3 2 1 2|121 1 1 1 1|111 2 1 1 1|111 1 1 1 1|111 1 1 1 1|222 2 2 2 1|222 1 3 2 2
222 2 2 2 2|222 2 2 2 1|222 3 2 2 2|221 2 2 2 2|111 1 1 1 1|111 1 1 1 1|232 2 2 2 2|111 1 1 1 1|111 1 1 1 1|112 1 1 2 1
111 1 1 1 1|333 3 2 3 3|111 1 1 1 1|222 2 2 2 2|222 3 2 3 2|433 4 3 4 3|221 2 2 3 2|232 3 2 3 3|333 3 4 3 2|111 1 1 1 1
111 1 1 1 1|121 2 1 1 1|232 2 2 2 2|121 1 1 1 1|222 2 2 2 2
"""


def anaesthetists() -> CrowdLabels:
    patients = [patient.split() for patient in PATIENTS.strip().replace("\n", "|").split("|")]
    rows = [
        (patient, judge, int(said) - 1)
        for patient, judgements in enumerate(patients)
        for judge, readings in enumerate(judgements)
        for said in readings
    ]
    item, annotator, value = zip(*rows, strict=True)
    return CrowdLabels.from_codes(item, annotator, value, 4, repeats="all")


def plain_dawid_skene(labels: CrowdLabels, smoothing: float, n_iterations: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The formulas of the paper as they stand, label by label: posteriors and confusion matrices."""
    n, m, k = labels.n_items, labels.n_annotators, labels.n_values
    triples = list(zip(labels.item, labels.annotator, labels.value, strict=True))
    posterior = np.zeros((n, k))
    for item, _, value in triples:
        posterior[item, value] += 1
    posterior /= posterior.sum(axis=1, keepdims=True)
    for _ in range(n_iterations):
        prior = posterior.mean(axis=0)
        confusion = np.full((m, k, k), smoothing)
        for item, annotator, value in triples:
            confusion[annotator, :, value] += posterior[item]
        confusion /= confusion.sum(axis=2, keepdims=True)
        posterior = np.tile(prior, (n, 1))
        for item, annotator, value in triples:
            posterior[item] *= confusion[annotator, :, value]
        posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior, confusion


def simulate(
    seed: int, n_items: int = 300, n_annotators: int = 8, n_values: int = 3, n_votes: int = 4, skill: float = 0.6
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Items, annotators and labels as parallel arrays, and the truth, (n_items,)."""
    random = np.random.default_rng(seed)
    truth = random.choice(n_values, n_items, p=np.arange(n_values, 0, -1) / np.arange(n_values + 1).sum())
    accuracy = random.uniform(skill, 0.95, n_annotators)
    item = np.repeat(np.arange(n_items), n_votes)
    annotator = np.concatenate([random.choice(n_annotators, n_votes, replace=False) for _ in range(n_items)])
    is_right = random.random(len(item)) < accuracy[annotator]
    wrong = (truth[item] + random.integers(1, n_values, len(item))) % n_values
    return item, annotator, np.where(is_right, truth[item], wrong), truth


def simulated(seed: int, gold: Mapping[int, int] | None = None, **size: Any) -> CrowdLabels:
    item, annotator, value, _ = simulate(seed, **size)
    return CrowdLabels.from_codes(item, annotator, value, size.get("n_values", 3), gold=gold)


# --- Published numbers and plain formulas ----------------------------------------------------------------------------


def test_the_anaesthetists_are_as_dawid_and_skene_found_them() -> None:
    """How common the four classes are, as the paper prints it (section 4)."""
    result = dawid_skene.dawid_skene(anaesthetists(), smoothing=0, tolerance=1e-12)
    assert result.class_prior is not None
    assert result.class_prior.round(2).tolist() == [0.40, 0.42, 0.11, 0.07]
    assert result.is_converged


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n_iterations", [1, 2, 7])
def test_dawid_skene_is_the_plain_formulas_step_by_step(smoothing: float, n_iterations: int) -> None:
    labels = anaesthetists()
    posterior, confusion = plain_dawid_skene(labels, smoothing, n_iterations)
    result = dawid_skene.dawid_skene(labels, smoothing=smoothing, tolerance=0, max_iterations=n_iterations)
    assert result.posterior == pytest.approx(posterior, abs=1e-12)
    assert result.confusion == pytest.approx(confusion, abs=1e-12)
    assert len(result.log_likelihood) == n_iterations


def bayes(result: Consensus, labels: CrowdLabels) -> tuple[NDArray[Any], float]:
    """Posteriors and log-likelihood from what is reported of the annotators, one item at a time."""
    assert result.confusion is not None
    assert result.class_prior is not None
    posterior, likelihood = [], 0.0
    for item in range(labels.n_items):
        said = slice(labels.start[item], labels.start[item + 1])
        joint = result.class_prior.copy()
        for annotator, value in zip(labels.annotator[said], labels.value[said], strict=True):
            joint *= result.confusion[annotator, :, value]
        posterior.append(joint / joint.sum())
        likelihood += float(np.log(joint.sum()))
    return np.array(posterior), likelihood


@pytest.mark.parametrize("name", FITTED)
def test_posteriors_are_what_bayes_makes_of_the_annotators_reported(name: str) -> None:
    labels = simulated(3)
    result = FITTED[name](labels)
    assert result.posterior == pytest.approx(bayes(result, labels)[0], abs=1e-9)


def test_log_likelihood_is_that_of_the_labels() -> None:
    labels = simulated(3)
    result = UNSMOOTHED(labels)
    assert result.log_likelihood[-1] == pytest.approx(bayes(result, labels)[1], rel=1e-12)


def test_log_likelihood_holds_the_priors_density() -> None:
    labels = simulated(3)
    result = dawid_skene.dawid_skene(labels, smoothing=0.5)
    assert result.confusion is not None
    expected = bayes(result, labels)[1] + 0.5 * float(np.log(result.confusion).sum())
    assert result.log_likelihood[-1] == pytest.approx(expected, rel=1e-12)


def test_one_coin_rests_where_its_accuracies_are_what_its_posteriors_say() -> None:
    labels = simulated(4)
    result = FITTED["one_coin"](labels)
    right = np.bincount(labels.annotator, weights=result.posterior[labels.item, labels.value])
    assert result.accuracy == pytest.approx((right + 1) / (np.bincount(labels.annotator) + 2), abs=1e-6)


def test_shared_coin_gives_everybody_one_accuracy() -> None:
    result = FITTED["shared_coin"](simulated(4))
    assert result.accuracy is not None
    assert np.ptp(result.accuracy) == 0
    assert 0.6 < result.accuracy[0] < 0.95


def test_mace_rests_on_a_maximum() -> None:
    """No small step of anybody's knowledge or habits gives a higher likelihood times prior."""
    labels = simulated(5, n_items=60, n_annotators=4, n_values=2, n_votes=3)
    model, fit = mace._HabitModel(1.0), FITTED["mace"](labels)
    # Read back from the confusion: off the diagonal stands (1 - knows) * says.
    assert fit.confusion is not None
    habit = np.stack([fit.confusion[:, 1, 0], fit.confusion[:, 0, 1]], axis=1)
    knows = 1 - habit.sum(axis=1, keepdims=True)
    says = habit / habit.sum(axis=1, keepdims=True)

    def height(knows: NDArray[Any], says: NDArray[Any]) -> float:
        skill = mace._Habits(knows, says)
        chances = model.chances(skill)
        log_joint = np.zeros((labels.n_items, 2))
        np.add.at(log_joint, labels.item, np.log(chances[:, labels.annotator, labels.value]).T)
        return float(np.log(np.exp(log_joint).mean(axis=1)).sum() + model.log_density(skill))

    top = height(knows, says)
    assert fit.log_likelihood[-1] == pytest.approx(top, rel=1e-9)
    for annotator, step in itertools.product(range(4), (-1e-3, 1e-3)):
        other = knows.copy()
        other[annotator] += step
        assert height(other, says) < top
        tilted = says.copy()
        tilted[annotator] += [step, -step]
        assert height(knows, tilted) < top


def test_glad_rests_on_a_maximum() -> None:
    """Nobody's ability and no item's ease can be moved a little for a higher likelihood times prior."""
    labels = simulated(5, n_items=40, n_annotators=5, n_values=3, n_votes=4)
    fit = RESTED_GLAD(labels)
    assert fit.difficulty is not None
    log_ease = -np.log(fit.difficulty)

    def height(ability: NDArray[Any], log_ease: NDArray[Any]) -> float:
        total = 0.0
        for item in range(labels.n_items):
            said = slice(labels.start[item], labels.start[item + 1])
            right = 1 / (1 + np.exp(-ability[labels.annotator[said]] * np.exp(log_ease[item])))
            is_true = labels.value[said] == np.arange(3)[:, np.newaxis]
            total += np.log(np.where(is_true, right, (1 - right) / 2).prod(axis=1).mean())
        return float(total - ((ability - 1) ** 2).sum() / 2 - ((log_ease - 1) ** 2).sum() / 2)

    ability = find_abilities(fit, labels)
    top = height(ability, log_ease)
    assert fit.log_likelihood[-1] == pytest.approx(top, rel=1e-9)
    for step in (-1e-3, 1e-3):
        assert max(height(ability + step * unit, log_ease) for unit in np.eye(5)) < top
        assert max(height(ability, log_ease + step * unit) for unit in np.eye(40)) < top


def find_abilities(fit: Consensus, labels: CrowdLabels) -> NDArray[Any]:
    """The abilities under which the accuracies are those reported, by halving."""
    assert fit.difficulty is not None
    assert fit.accuracy is not None
    low, high = np.full(labels.n_annotators, -50.0), np.full(labels.n_annotators, 50.0)
    for _ in range(80):
        middle = (low + high) / 2
        chance = 1 / (1 + np.exp(-middle[labels.annotator] / fit.difficulty[labels.item]))
        mean = np.bincount(labels.annotator, weights=chance) / np.bincount(labels.annotator)
        low, high = np.where(mean < fit.accuracy, middle, low), np.where(mean < fit.accuracy, high, middle)
    return low


def test_glad_finds_the_hard_items() -> None:
    """Half of 400 items are a coin's toss to everybody, the other half plain."""
    random = np.random.default_rng(12)
    truth = random.integers(0, 2, 400)
    is_hard = np.arange(400) < 200
    value = truth[:, np.newaxis] ^ (random.random((400, 7)) < np.where(is_hard, 0.45, 0.05)[:, np.newaxis])
    item, annotator = np.indices(value.shape)
    result = glad.glad(CrowdLabels.from_codes(item.ravel(), annotator.ravel(), value.ravel(), 2))
    assert result.difficulty is not None
    assert np.median(result.difficulty[is_hard]) > 2 * np.median(result.difficulty[~is_hard])


def test_weighted_vote_weighs_by_agreement_with_the_majority() -> None:
    labels = CrowdLabels.from_codes(
        [1, 1, 1, 2, 2, 2, 3, 3], [1, 2, 3, 1, 2, 3, 1, 3], [0, 0, 1, 1, 1, 0, 0, 1], n_values=2
    )
    result = majority.weighted_vote(labels)
    # The third item is a tie, so that whoever voted there is half right.
    assert result.accuracy == pytest.approx([2.5 / 3, 1, 0.5 / 3])
    assert result.posterior[2] == pytest.approx([2.5 / 3, 0.5 / 3])


# --- Truth that was planted ------------------------------------------------------------------------------------------


def test_planted_confusion_is_recovered() -> None:
    """Seed 11; 20,000 items, 10 annotators of whom each labels half: every cell within 0.03, three standard errors."""
    random = np.random.default_rng(11)
    planted = random.dirichlet([1, 1, 1], size=(10, 3)) * 0.4 + np.eye(3) * 0.6
    truth = random.choice(3, 20_000, p=[0.5, 0.3, 0.2])
    item = np.repeat(np.arange(20_000), 5)
    annotator = np.argsort(random.random((20_000, 10)), axis=1)[:, :5].ravel()
    chance = planted[annotator, truth[item]].cumsum(axis=1)
    value = (random.random((len(item), 1)) > chance).sum(axis=1).clip(max=2)
    result = dawid_skene.dawid_skene(CrowdLabels.from_codes(item, annotator, value, 3))
    assert result.confusion is not None
    assert np.abs(result.confusion - planted).max() < 0.03
    assert result.evidence is not None
    assert result.evidence.sum() == pytest.approx(len(item))


@pytest.mark.parametrize("name", METHODS)
def test_equals_are_the_majority(name: str) -> None:
    """Everybody errs as often as everybody else, on items of their own: no method leaves the vote."""
    item, annotator = (index.ravel() for index in np.indices((30, 3)))
    truth = np.arange(30) % 2
    value = truth[item] ^ (annotator == item % 10)
    result = METHODS[name](CrowdLabels.from_codes(item, annotator, value, 2))
    assert result.value.tolist() == truth.tolist()


@pytest.mark.parametrize("name", ["one_coin", "mace", "glad", "dawid_skene"])
def test_two_who_know_beat_three_who_guess(name: str) -> None:
    random = np.random.default_rng(7)
    truth = random.integers(0, 2, 500)
    guesses = random.integers(0, 2, (500, 3))
    value = np.column_stack([truth, truth, guesses])
    item, annotator = np.indices(value.shape)
    labels = CrowdLabels.from_codes(item.ravel(), annotator.ravel(), value.ravel(), 2)
    known = dict(enumerate(truth.tolist()))
    assert METHODS[name](labels).share_right(known) > majority.majority_vote(labels).share_right(known) + 0.05


# --- Real files ------------------------------------------------------------------------------------------------------


def read_table(name: str, delimiter: str) -> list[list[str]]:
    with lzma.open(DATA / name, "rt", encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def coded(names: ArrayLike) -> NDArray[np.int64]:
    return np.unique(np.asarray(names), return_inverse=True)[1].ravel()


def labels_and_truth(rows: list[tuple[str, str, str]], gold: Mapping[str, str]) -> tuple[CrowdLabels, dict[int, int]]:
    """Rows are item, annotator, label; all are coded by the order of their names."""
    item, annotator, value = zip(*rows, strict=True)
    code_of_item = dict(zip(item, coded(item).tolist(), strict=True))
    code_of_value = {name: code for code, name in enumerate(sorted({*value, *gold.values()}))}
    values = [code_of_value[name] for name in value]
    labels = CrowdLabels.from_codes(coded(item), coded(annotator), values, len(code_of_value))
    return labels, {code_of_item[name]: code_of_value[known] for name, known in gold.items()}


def read_snow(name: str) -> tuple[CrowdLabels, dict[int, int]]:
    rows = read_table(name, "\t")[1:]
    return labels_and_truth([(row[1], row[0], row[2]) for row in rows], {row[1]: row[3] for row in rows})


def read_barzan() -> tuple[CrowdLabels, dict[int, int]]:
    rows = [(item, worker, label) for worker, item, label in read_table("gal_barzan_labels.tsv.xz", "\t")]
    return labels_and_truth(rows, dict(read_table("gal_barzan_gold.tsv.xz", "\t")))


def read_hatecheck() -> tuple[CrowdLabels, dict[int, int]]:
    head, *table = read_table("hatecheck_all_annotations.csv.xz", ",")
    voters = [head.index(f"label_{number}") for number in range(1, 11)]
    rows = [(row[2], str(voter), row[voter]) for row in table for voter in voters if row[voter]]
    return labels_and_truth(rows, {row[2]: row[head.index("label_gold")] for row in table})


FILES: dict[str, Callable[[], tuple[CrowdLabels, dict[int, int]]]] = {
    "snow_temp": partial(read_snow, "snow_temp.tsv.xz"),
    "snow_wsd": partial(read_snow, "snow_wsd.tsv.xz"),
    "gal_barzan": read_barzan,
    "hatecheck": read_hatecheck,
}


@needs_data
@pytest.mark.parametrize(
    ("name", "n_items", "n_labels", "n_annotators"),
    [("hatecheck", 3901, 19505, 10), ("snow_temp", 462, 4620, 76), ("snow_wsd", 177, 1770, 34),
     ("gal_barzan", 1000, 5000, 83)],
)  # fmt: skip
def test_files_are_read_whole(name: str, n_items: int, n_labels: int, n_annotators: int) -> None:
    labels, truth = FILES[name]()
    assert (labels.n_items, labels.n_labels, labels.n_annotators) == (n_items, n_labels, n_annotators)
    assert len(truth) == n_items


# Votes and Dawid-Skene: the reference figures, which other implementations of the same formulas gave (weighted_vote is
# crowd-kit's Wawa). MACE, one-coin and GLAD have priors of their own here; these are their figures as documented.
@needs_data
@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("majority", {"hatecheck": 0.9987, "snow_temp": 0.9361, "snow_wsd": 0.9944, "gal_barzan": 0.6960}),
        ("weighted_vote", {"hatecheck": 0.9987, "snow_temp": 0.9437, "snow_wsd": 0.9944, "gal_barzan": 0.6960}),
        (
            "dawid_skene, unsmoothed",
            {"hatecheck": 0.9990, "snow_temp": 0.9416, "snow_wsd": 0.9944, "gal_barzan": 0.7120},
        ),
        ("dawid_skene", {"hatecheck": 0.9990, "snow_temp": 0.9416, "snow_wsd": 0.9944, "gal_barzan": 0.7140}),
        ("one_coin", {"hatecheck": 0.9987, "snow_temp": 0.9372, "snow_wsd": 0.9944, "gal_barzan": 0.6670}),
        ("mace", {"hatecheck": 0.9990, "snow_temp": 0.9437, "snow_wsd": 0.9944, "gal_barzan": 0.7310}),
        ("glad", {"hatecheck": 0.9987, "snow_temp": 0.9351, "snow_wsd": 0.9944, "gal_barzan": 0.6930}),
    ],
)
def test_accuracies_on_real_files_are_the_printed_ones(name: str, right: dict[str, float]) -> None:
    """To the last digit; in a vote, ties are shared."""
    found = {}
    for file in right:
        labels, truth = FILES[file]()
        found[file] = round(METHODS[name](labels).share_right(truth), 4)
    assert found == right


# --- What must hold for any labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_row_order_and_codes_change_nothing(name: str, seed: int) -> None:
    item, annotator, value, truth = simulate(seed)
    gold = {item: int(truth[item]) for item in range(20)}
    plain = METHODS[name](CrowdLabels.from_codes(item, annotator, value, 3, gold=gold))

    random = np.random.default_rng(seed)
    order = random.permutation(len(item))
    new_item = random.choice(10**12, 300, replace=False) - 10**11
    new_annotator = random.choice(10**12, 8, replace=False)
    new_value = random.permutation(3)
    recoded = CrowdLabels.from_codes(
        new_item[item][order],
        new_annotator[annotator][order],
        new_value[value][order],
        3,
        gold={int(new_item[key]): int(new_value[known]) for key, known in gold.items()},
    )
    other = METHODS[name](recoded)
    back = np.searchsorted(other.item_ids, new_item)
    assert other.posterior[back][:, new_value] == pytest.approx(plain.posterior, abs=1e-9)
    assert (other.is_best[back][:, new_value] == plain.is_best).all()
    assert other.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_row_order_alone_changes_not_a_bit(name: str) -> None:
    item, annotator, value, _ = simulate(9)
    order = np.random.default_rng(9).permutation(len(item))
    plain = METHODS[name](CrowdLabels.from_codes(item, annotator, value, 3))
    other = METHODS[name](CrowdLabels.from_codes(item[order], annotator[order], value[order], 3))
    assert (plain.posterior == other.posterior).all()
    assert plain.log_likelihood == other.log_likelihood


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(VOTED)))
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_gold=st.integers(0, 10), n_values=st.integers(2, 5))
def test_log_likelihood_never_falls(name: str, seed: int, n_gold: int, n_values: int) -> None:
    """Rounding apart, which is relative to the likelihood itself. Labels are noise, so that nothing helps."""
    random = np.random.default_rng(seed)
    item, annotator = (index.ravel() for index in np.indices((25, 5)))
    value = random.integers(-1, n_values, item.size)
    value[:4] = [0, 1, 0, 1]
    gold = {key: int(random.integers(n_values)) for key in range(n_gold)}
    trace = np.array(METHODS[name](CrowdLabels.from_codes(item, annotator, value, n_values, gold=gold)).log_likelihood)
    assert (np.diff(trace) >= -1e-12 * np.abs(trace[1:])).all()
    assert np.isfinite(trace).all()


@pytest.mark.parametrize("name", METHODS)
def test_posteriors_are_shares(name: str) -> None:
    result = METHODS[name](simulated(6))
    assert result.posterior.sum(axis=1) == pytest.approx(np.ones(300), abs=1e-12)
    assert result.posterior.min() >= 0


@pytest.mark.parametrize("name", METHODS)
def test_gold_holds_against_every_vote(name: str) -> None:
    result = METHODS[name](simulated(6, gold={0: 0, 1: 1, 2: 2, 10**6: 1}))
    assert (result.posterior[:3] == np.eye(3)).all()


def test_gold_teaches_even_where_nobody_shares_an_item() -> None:
    """Annotator 1 is right on gold and annotator 2 wrong, so their words elsewhere weigh accordingly."""
    item, annotator = np.arange(44), np.repeat([1, 2], 22)
    value = np.tile([0, 1], 22)
    gold = {key: int(value[key] ^ (annotator[key] == 2)) for key in range(44) if key % 22 < 20}
    result = dawid_skene.dawid_skene(CrowdLabels.from_codes(item, annotator, value, 2, gold=gold))
    assert result.value[[20, 21, 42, 43]].tolist() == [0, 1, 1, 0]
    assert result.accuracy is not None
    assert result.accuracy[0] > 0.9
    assert result.accuracy[1] < 0.1


@pytest.mark.parametrize("name", FITTED)
def test_lanes_and_blocks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = simulated(8, gold={5: 1, 250: 2}, n_items=700)
    whole = METHODS[name](labels)
    monkeypatch.setattr(latent_truth, "_BLOCK_LABELS", 100)
    assert len(latent_truth._make_lanes(labels, np.zeros((3, 700)))) == 4
    parts = METHODS[name](labels)
    assert parts.posterior == pytest.approx(whole.posterior, abs=1e-9)
    assert parts.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)


# --- Ties, repeats and other limits ----------------------------------------------------------------------------------


def test_a_tie_is_named_and_not_broken() -> None:
    labels = CrowdLabels.from_codes([1, 1, 2, 2, 2], [1, 2, 1, 2, 3], [0, 2, 1, 1, 0], n_values=3)
    result = majority.majority_vote(labels)
    assert result.value.tolist() == [-1, 1]
    assert result.is_tied.tolist() == [True, False]
    assert result.is_best[0].tolist() == [True, False, True]
    assert result.share_right({1: 2, 2: 1}) == 0.75
    assert result.share_right({1: 1, 2: 0, 3: 0}) == 0
    assert np.isnan(result.share_right({3: 0}))


def test_of_repeats_the_last_counts_unless_all_do() -> None:
    rows = [1, 1, 1, 2], [4, 4, 3, 4], [0, 1, 0, -1]
    last = CrowdLabels.from_codes(*rows, n_values=2)
    assert (last.annotator.tolist(), last.value.tolist(), last.item_ids.tolist()) == ([0, 1], [0, 1], [1])
    every = CrowdLabels.from_codes(*rows, n_values=2, repeats="all")
    assert (every.annotator.tolist(), every.value.tolist()) == ([0, 1, 1], [0, 0, 1])


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"majority"}))
@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (([], [], []), NO_LABELS),
        (([1, 2], [1, 1], [-1, -1]), NO_LABELS),
        (([1, 2, 3], [1, 1, 2], [0, 1, 0]), NO_OVERLAP),
        (([1, 1, 2], [1, 2, 2], [1, 1, 1]), ONE_CLASS),
    ],
)
def test_labels_that_tell_nobodys_skill_are_refused_by_name(name: str, rows: tuple[Any, Any, Any], reason: str) -> None:
    labels = CrowdLabels.from_codes(*rows, n_values=2)
    with pytest.raises(UnfitLabelsError, match=reason):
        METHODS[name](labels)
    assert majority.majority_vote(labels).posterior.shape == (labels.n_items, 2)


def test_a_value_that_nobody_chose_stays_impossible() -> None:
    item, annotator, value, _ = simulate(2)
    result = UNSMOOTHED(CrowdLabels.from_codes(item, annotator, value, 5))
    assert result.posterior[:, 3:].max() == 0
    assert np.isfinite(result.log_likelihood).all()
    assert result.confusion is not None
    assert result.confusion.sum(axis=2) == pytest.approx(np.ones((8, 5)))


def test_two_iterations_are_said_not_to_be_enough() -> None:
    labels = simulated(1)
    assert not dawid_skene.dawid_skene(labels, max_iterations=2).is_converged
    assert dawid_skene.dawid_skene(labels).is_converged


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1], [1, 2], [0, 0], 2), "one entry per label"),
        (([1], [1], [2], 2), "within 0..1"),
        (([1], [1], [0], 0), "at least 1 value"),
        (([1.5], [1], [0], 2), "expected integers"),
    ],
)
def test_broken_arrays_are_refused(arguments: tuple[Any, Any, Any, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrowdLabels.from_codes(*arguments)


def test_gold_outside_the_values_is_refused() -> None:
    with pytest.raises(ValueError, match="gold codes"):
        CrowdLabels.from_codes([1], [1], [0], 2, gold={1: 2})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(dawid_skene.dawid_skene, smoothing=-1), "smoothing"),
        (partial(one_coin.one_coin, smoothing=0), "smoothing"),
        (partial(mace.mace, smoothing=0), "smoothing"),
        (partial(dawid_skene.dawid_skene, tolerance=-1), "tolerance"),
        (partial(dawid_skene.dawid_skene, max_iterations=0), "at least 1 iteration"),
    ],
)
def test_numbers_out_of_range_are_refused(call: Method, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(simulated(1))


def test_wide_ids_are_told_apart() -> None:
    ids = [-(2**63), 2**63 - 1, 0]
    labels = CrowdLabels.from_codes(ids, ids, [0, 1, 2], 3)
    assert labels.item_ids.tolist() == sorted(ids)
    assert labels.value.tolist() == [0, 2, 1]


@pytest.mark.parametrize("module", [crowd, majority, latent_truth, dawid_skene, one_coin, mace, glad])
def test_examples_in_the_docstrings_hold(module: Any) -> None:
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried > 0 or module is latent_truth
