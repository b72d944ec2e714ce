"""A project on an installation of its own, and simulated people who label it through the real queue.

For benchmarks that show the whole loop: the file is imported, items are leased and answered through the queue, rounds
are jobs. Only the people are simulated.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

# What annotator `number` (from 0) says of an item: the answers of the schema.
Answer = Callable[[Any, int], Mapping[str, Any]]


class Team:
    """A project, its simulated annotators and its owner, at work through the queue.

    Parameters
    ----------
    slug : str
    questions : sequence of dict
        Of the schema.
    settings : dict
        Of the project.
    name, data : str, bytes
        The file that is imported; its name tells the format.
    n_annotators : int
        Each has the same rights and answers by `answer`.
    seed : int
        The same holdout and the same order before the first round for projects with the same external ids.
    """

    def __init__(
        self,
        slug: str,
        questions: Sequence[Mapping[str, Any]],
        settings: Mapping[str, Any],
        *,
        name: str,
        data: bytes,
        answer: Answer,
        n_annotators: int,
        seed: int,
    ) -> None:
        from django.conf import settings as installation

        from annotation.actions import projects
        from annotation.actions.imports import start_import
        from annotation.actions.people import create_user, ensure_outside_person
        from annotation.models import Project, User

        self.answer, self.seed, self.n_answers = answer, seed, 0
        self.owner = create_user(username=f"owner-of-{slug}")
        self.project = projects.create_project(
            slug=slug,
            name=slug,
            schema={"questions": list(questions)},
            settings={"lease_seconds": 3600, **settings},
            owner=self.owner,
        )
        Project.objects.filter(pk=self.project.pk).update(seed=seed.to_bytes(32, "big"))
        path = Path(installation.UPLOAD_DIR) / f"{slug}-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        carry_out(start_import(project=self.project, actor=self.owner, path=path, name=name))
        self.annotators = []
        for number in range(n_annotators):
            person = ensure_outside_person(project=self.project, name=f"person-{number}", kind=User.Kind.SIMULATED)
            projects.set_member(project=self.project, user=person, role="annotator", actor=self.owner)
            self.annotators.append(person)

    def access(self, user: Any) -> Any:
        """A person's access to the project as it is now."""
        from annotation.access import Caller, access_to
        from annotation.models import Project

        return access_to(Caller(user), Project.objects.select_related("schema", "guideline").get(pk=self.project.pk))

    def label(self, n: int) -> None:
        """Everybody answers `n` items, as the queue serves them."""
        from annotation import queue
        from annotation.actions.answers import answer_lease
        from annotation.models import Item

        for number, person in enumerate(self.annotators):
            access, chance, left = self.access(person), Random(self.seed), n
            while left:
                found = queue.lease(project_id=self.project.pk, person_id=person.pk, n=min(5, left), rng=chance)
                assert found.leases, found.reason
                items = Item.objects.select_related("payload").in_bulk([raw["item"] for raw in found.leases])
                for raw in found.leases:
                    answer_lease(
                        access=access,
                        stamp=queue.find_stamp(seat_id=raw["seat"], generation=raw["generation"], person_id=person.pk),
                        generation=raw["generation"],
                        key=f"{raw['seat']}-{raw['generation']}",
                        body={"answers": dict(self.answer(items[raw["item"]], number))},
                        rng=chance,
                    )
                left -= len(found.leases)
                self.n_answers += len(found.leases)

    def play(self, batch: int | None = None) -> float:
        """One round by its job, with a batch of that size or of the project's; the seconds that it took."""
        from learning.actions.rounds import start_round

        started = time.monotonic()
        carry_out(start_round(project=self.project, actor=self.owner, trigger="demand", batch=batch, seed=self.seed))
        return time.monotonic() - started


def carry_out(job: Any) -> None:
    """Do a job now, here. AssertionError with its reason where it fails."""
    from annotation.jobs import run_job
    from annotation.models import Job

    run_job(job.pk)
    job = Job.objects.get(pk=job.pk)
    assert job.state == "done", job.error


def run_alone(work: Callable[[], None]) -> None:
    """Do the work on servers and folders of its own, which go at the end."""
    home = Path(tempfile.mkdtemp(prefix="ts-team-"))
    os.environ["TOUCHSTONE_HOME"] = str(home)
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    from config.embedded import open_servers
    from config.home import fix_home

    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.enter_context(open_servers(fix_home()))
        import django
        from django.core.management import call_command

        django.setup()
        from annotation.models import Organisation
        from config.celery import app

        app.loader.import_default_modules()  # the kinds of jobs, as a worker knows them
        call_command("migrate", verbosity=0)
        Organisation.objects.get_or_create(pk=1)
        work()
