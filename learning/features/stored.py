"""The stored features of a project: brought up to date, and found again for a model by the blocks of its space."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import transaction

from annotation.models import Project
from learning.features.shards import Ids, ShardList, Told, refresh
from learning.features.stores import STORES, Listed, PixelStore, SentenceStore, Store, WordStore, project_folder
from learning.loading import load_listed

if TYPE_CHECKING:
    from learning.algorithms.features import Block, Features, Matrix


class Shards:
    """The stored rows of a project's items.

    `stores` are those of the kinds that its items have today. Others, which only a model of earlier takes its rows
    from, are made when they are first asked for.
    """

    def __init__(
        self, listed: Listed, check: Callable[[], Any], stored: Sequence[tuple[Store, ShardList]] = ()
    ) -> None:
        self.listed, self._check = listed, check
        self.stores = [store for store, _found in stored]
        self._found = {store.folder: found for store, found in stored}

    def of(self, name: str, block: Block) -> ShardList:
        """The rows that a block takes."""
        from learning.algorithms.features import kind_of

        return self.of_store(STORES[kind_of(name)].of(self.listed, name, block))

    def of_store(self, store: Store) -> ShardList:
        """The rows that a store has made, or makes now."""
        if store.folder not in self._found:
            self._found[store.folder] = refresh(store, self._check)
        return self._found[store.folder]

    def vectorise(self, features: Features, items: Ids) -> Matrix:
        """Items as one matrix, (n_items, n_features), in their order; whatever their order is.

        An item of which nothing is stored (it was erased meanwhile) is a row of zeros.
        """
        rows = {name: self.of(name, block).gather(items).matrix for name, block in features.blocks.items()}
        return features.join(rows, len(items))


def refresh_shards(project: Project, check: Callable[[], Any], progress: Told = lambda _done, _total: None) -> Shards:
    """Make the features that items lack, drop those of items that may not be used any more.

    Usable are items that are visible and neither sealed nor erased. `check` is the job's: what counts is written by the
    attempt that owns it. `progress` gets the rows made so far and all that are to be made, as far as that is known.
    """
    items = load_listed(project)
    done = 0

    def make(store: Store) -> ShardList:
        nonlocal done
        before = done

        def told(n: int, total: int) -> None:
            nonlocal done
            done = before + n
            progress(done, before + total)

        return refresh(store, check, told, store.take_opened() if isinstance(store, PixelStore) else None)

    counted_by = WordStore(Listed(project, items, np.zeros(len(items), np.uint8)))
    counted = make(counted_by)
    listed = Listed(project, items, counted.marks_of(items))
    stores = [store for kind in STORES.values() for store in kind.find(listed)]
    _sweep(project, [store.folder for store in stores], check)
    found = {counted_by.folder: counted}
    # Last what a host may be unable to make: rows of erased items are gone from all the others by then.
    for store in sorted(stores, key=lambda store: isinstance(store, SentenceStore)):
        if store.folder not in found:
            found[store.folder] = make(store)
    return Shards(listed, check, [(store, found[store.folder]) for store in stores])


def has_shards(project: Project) -> bool:
    """Whether anything is stored of the project's items."""
    return project_folder(project).is_dir()


def _sweep(project: Project, kept: Sequence[Path], check: Callable[[], Any]) -> None:
    """Remove all else that is stored of the project: of kinds that its items have no more, or made by other code."""
    if not has_shards(project):
        return
    with transaction.atomic():
        check()
        for other in project_folder(project).iterdir():
            if other not in kept:
                shutil.rmtree(other, ignore_errors=True)
