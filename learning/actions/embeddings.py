"""Given embeddings: the request that brings them, and the rows that they become."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from annotation.actions.events import write_event
from annotation.actions.jobs import start_job
from annotation.actions.projects import refuse_archived
from annotation.errors import InvalidError
from annotation.models import Item, Job, Project, User
from learning.actions.rounds import lock_name
from learning.models import Embedding, EmbeddingSpace

KIND = "embeddings"
STORED = "embeddings.stored"
# Names that one project may have: each is a block of columns in every model.
MAX_SPACES = 8


@transaction.atomic
def start_embeddings(*, project: Project, actor: User | None, path: Path, compression: str | None = None) -> Job:
    """Queue the reading of spooled vectors; `path` lies in UPLOAD_DIR. Raises StateError for an archived project."""
    refuse_archived(project)
    job = start_job(
        kind=KIND,
        project=project,
        created_by=actor,
        args={"file": path.name, "compression": compression},
        lock=lock_name(project),
    )
    write_event(project=project, kind="embeddings.requested", actor=actor, ref_id=job.pk)
    return job


def ensure_space(*, project: Project, name: str, n_dimensions: int) -> EmbeddingSpace:
    """The space of this name, made by its first vector. Raises InvalidError where that was of another length."""
    space = EmbeddingSpace.objects.filter(project=project, name=name).first()
    if space is None:
        if EmbeddingSpace.objects.filter(project=project).count() >= MAX_SPACES:
            raise InvalidError(_("A project has at most %(most)d names of embeddings.") % {"most": MAX_SPACES})
        space, _is_new = EmbeddingSpace.objects.get_or_create(
            project=project, name=name, defaults={"n_dimensions": n_dimensions}
        )
    if space.n_dimensions != n_dimensions:
        raise InvalidError(
            _(
                "The vector has %(n)d numbers; those named %(name)s have %(expected)d here."
                " Send it under another name, or remove those first."
            )
            % {"n": n_dimensions, "name": name, "expected": space.n_dimensions}
        )
    return space


def write_vectors(*, space: EmbeddingSpace, vectors: Mapping[int, bytes], check: Callable[[], Any]) -> None:
    """Store vectors by item; a later one replaces the earlier, the same one again changes nothing. Safe to repeat."""
    stamp = secrets.randbits(62)
    with transaction.atomic(), connection.cursor() as cursor:
        check()
        cursor.execute(_BATCH_TABLE)
        with cursor.copy("copy embedding_batch from stdin (format binary)") as copy:
            copy.set_types(["int8", "bytea"])
            for item in sorted(vectors):
                copy.write_row((item, vectors[item]))
        cursor.execute(_TAKE_BATCH, [space.pk, stamp])


_BATCH_TABLE = """
    create temporary table if not exists embedding_batch (item bigint, vector bytea) on commit delete rows;
    delete from embedding_batch
"""
_TAKE_BATCH = """
    insert into learning_embedding (space_id, item_id, stamp, vector)
    select %s, item, %s, vector from embedding_batch
    on conflict (space_id, item_id) do update set stamp = excluded.stamp, vector = excluded.vector
    where learning_embedding.vector is distinct from excluded.vector
"""


@transaction.atomic
def tell_stored(*, project: Project, n: int, check: Callable[[], Any]) -> None:
    """Say that `n` vectors came: whoever reads the event has them made ready for the next round."""
    check()
    write_event(project=project, kind=STORED, actor=None, data={"n": n})


@transaction.atomic
def remove_space(*, space: EmbeddingSpace, actor: User | None) -> None:
    """Remove all vectors of one name. Models that were fitted on them can score no more."""
    write_event(project=space.project, kind="embeddings.removed", actor=actor, ref_id=space.pk)
    space.delete()


@transaction.atomic
def remove_stray_vectors(*, project: Project, check: Callable[[], Any]) -> None:
    """Remove vectors that were stored while their item was being sealed or erased."""
    check()
    gone = Item.objects.filter(
        project=project, lifecycle__in=(Item.Lifecycle.QUARANTINED, Item.Lifecycle.ERASED)
    ).values("pk")
    for space in EmbeddingSpace.objects.filter(project=project):
        Embedding.objects.filter(space=space, item_id__in=gone).delete()
