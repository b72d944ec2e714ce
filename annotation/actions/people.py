"""Users, their tokens, and the one-time link that makes the first owner."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.access import RIGHTS
from annotation.actions.events import write_event
from annotation.errors import AbsentError, ExistsError, InvalidError
from annotation.models import ApiToken, Organisation, Project, SetupLink, User
from annotation.tokens import digest_token, make_token

LINK_LIFE = timedelta(days=1)


@transaction.atomic
def create_user(
    *, username: str, password: str | None = None, is_superuser: bool = False, actor: User | None = None
) -> User:
    """Add a person with a login. Without a password they cannot sign in by one. Raises ExistsError, InvalidError."""
    user = User(username=username, is_superuser=is_superuser, is_staff=is_superuser)
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise InvalidError(fields={name: " ".join(texts) for name, texts in error.message_dict.items()}) from error
    if User.objects.filter(username=username).exists():
        raise ExistsError(_("There is already a user of this name. Choose another one."))
    if password is None:
        user.set_unusable_password()
    else:
        check_password(password, user)
        user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise ExistsError(_("There is already a user of this name. Choose another one.")) from error
    write_event(project=None, kind="user.created", actor=actor, ref_id=user.pk)
    return user


def check_password(password: str, user: User) -> None:
    """Raise InvalidError with what is wrong with a new password."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidError(" ".join(error.messages), fields={"password": " ".join(error.messages)}) from error


def ensure_outside_person(*, project: Project, name: str, kind: str) -> User:
    """The person behind imported or simulated work in a project: no login, one per project and name."""
    username = f"{kind}/{project.pk}/{hashlib.sha256(name.encode()).hexdigest()[:24]}"
    user, _created = User.objects.get_or_create(
        username=username, defaults={"kind": kind, "shown_name": name[:200], "password": "!"}
    )
    return user


@transaction.atomic
def create_token(
    *, user: User, scopes: Collection[str] | None = None, days: int = 90, actor: User
) -> tuple[ApiToken, str]:
    """Make an API token; its text is returned here and never again. Raises InvalidError for odd scopes or days."""
    most = Organisation.objects.get().max_token_days
    if not 1 <= days <= most:
        raise InvalidError(fields={"days": _("A token lives 1 to %(most)d days.") % {"most": most}})
    if scopes is not None and (unknown := sorted(set(scopes) - set(RIGHTS))):
        raise InvalidError(
            fields={
                "scopes": _("Unknown: %(unknown)s. Known: %(known)s.")
                % {"unknown": ", ".join(unknown), "known": ", ".join(RIGHTS)}
            }
        )
    raw = make_token()
    token = ApiToken.objects.create(
        user=user,
        digest=digest_token(raw),
        scopes=None if scopes is None else sorted(set(scopes)),
        expires_at=timezone.now() + timedelta(days=days),
    )
    write_event(project=None, kind="token.created", actor=actor, ref_id=token.pk)
    return token, raw


def touch_token(*, token: ApiToken, now: datetime) -> None:
    """Note that a token was used. No event: it happens all day."""
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)


def _digest_link(raw: str) -> bytes:
    return hashlib.sha256(raw.encode()).digest()


@transaction.atomic
def create_setup_link() -> str:
    """A new one-time secret that makes an owner within a day; the ones before it stop working."""
    raw = secrets.token_urlsafe(32)
    now = timezone.now()
    SetupLink.objects.filter(used_at=None).update(used_at=now)
    SetupLink.objects.create(digest=_digest_link(raw), expires_at=now + LINK_LIFE)
    return raw


def find_setup_link(raw: str) -> SetupLink:
    """The link, if it can still be used. Raises AbsentError."""
    link = SetupLink.objects.filter(digest=_digest_link(raw), used_at=None, expires_at__gt=timezone.now()).first()
    if link is None:
        raise AbsentError(_("This link was used or has expired. `touchstone owner-link` prints a new one."))
    return link


@transaction.atomic
def use_setup_link(*, raw: str, username: str, password: str) -> User:
    """Make the owner (a superuser) that a one-time link allows. Raises AbsentError, ExistsError, InvalidError."""
    link = SetupLink.objects.select_for_update().get(pk=find_setup_link(raw).pk)
    if link.used_at is not None:
        raise AbsentError
    user = create_user(username=username, password=password, is_superuser=True)
    SetupLink.objects.filter(pk=link.pk).update(used_at=timezone.now())
    return user
