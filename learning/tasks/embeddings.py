"""The job that takes in given embeddings, line by line, and has them made ready for the next round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from django.utils.translation import gettext as _

from annotation.errors import InvalidError
from annotation.importing.ahead import read_ahead
from annotation.importing.decompression import Compression
from annotation.importing.formats import RowProblem, Source, read_rows
from annotation.job_kinds.uploads import uploaded_file
from annotation.jobs import RunningJob, job_kind
from annotation.models import Project
from annotation.plain_text import quote
from learning.actions.embeddings import KIND, ensure_space, tell_stored, write_vectors
from learning.features.embeddings import EmbeddingError, GivenVector, parse_embedding
from learning.loading import load_named
from learning.models import EmbeddingSpace
from learning.outcome import Taken

# A batch ends at whichever comes first: so that neither long vectors nor many lines fill the memory.
BATCH = 50_000
BATCH_BYTES = 2**25


@dataclass(slots=True)
class _Batch:
    """Lines of the file: the good ones, and why the others are not good."""

    n_lines: int = 0
    n_bytes: int = 0
    parsed: list[tuple[int, GivenVector]] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


@job_kind(KIND)
def run_embeddings(running: RunningJob) -> None:
    """Take in the spooled lines; the result is `{"accepted", "rejected", "errors"}`."""
    project, taken, done = running.project, Taken(), 0
    with uploaded_file(running) as path:
        with closing(read_ahead(_batches(path, running.args["compression"]))) as batches:
            for batch in batches:
                _take(running, project, batch, taken)
                done += batch.n_lines
                running.progress(done)
        if taken.accepted:
            tell_stored(project=project, n=taken.accepted, check=running.check)
        running.finish(taken.as_result())


def _batches(path: Path, compression: Compression | None) -> Iterator[_Batch]:
    batch = _Batch()
    for line, row in read_rows(path, Source("jsonl", compression)):
        batch.n_lines += 1
        if isinstance(row, RowProblem):
            batch.faults.append((line, row.reason))
        else:
            try:
                given = parse_embedding(row)
                batch.parsed.append((line, given))
                batch.n_bytes += len(given.vector)
            except EmbeddingError as error:
                batch.faults.append((line, str(error)))
        if batch.n_lines >= BATCH or batch.n_bytes >= BATCH_BYTES:
            yield batch
            batch = _Batch()
    if batch.n_lines:
        yield batch


def _take(running: RunningJob, project: Project, batch: _Batch, taken: Taken) -> None:
    """Good lines become vectors, in the order of the file, so that the last one about an item stands."""
    items = load_named(project, {given.external_id for _line, given in batch.parsed})
    spaces: dict[tuple[str, int], EmbeddingSpace | str] = {}
    vectors: dict[tuple[str, int], dict[int, bytes]] = {}
    faults = batch.faults
    for line, given in batch.parsed:
        item, key = items.get(given.external_id), (given.name, given.n_dimensions)
        if item is None:
            faults.append((line, _("There is no item with the external_id %(id)s.") % {"id": quote(given.external_id)}))
            continue
        if key not in spaces:
            spaces[key] = _find_space(project, *key)
        space = spaces[key]
        if isinstance(space, str):
            faults.append((line, space))
            continue
        taken.accepted += 1
        vectors.setdefault(key, {})[item] = given.vector
    taken.reject(faults)
    for key, found in vectors.items():
        space = spaces[key]
        assert isinstance(space, EmbeddingSpace)
        write_vectors(space=space, vectors=found, check=running.check)


def _find_space(project: Project, name: str, n_dimensions: int) -> EmbeddingSpace | str:
    """The space, or the sentence why it takes no such vectors."""
    try:
        return ensure_space(project=project, name=name, n_dimensions=n_dimensions)
    except InvalidError as error:
        return error.detail
