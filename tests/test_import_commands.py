"""The commands that add people and bring files in: what they print, and that what goes wrong is one sentence."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from annotation.models import ApiToken, Item, Job, Member, Project, User
from annotation.tokens import digest_token
from tests.cast import CHOICE_SCHEMA, PASSWORD, Cast, MakeDesk

pytestmark = pytest.mark.django_db


def run(*arguments: object, **options: Any) -> tuple[list[str], list[str]]:
    """Run a command; its lines on standard output and on standard error."""
    out, err = io.StringIO(), io.StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=err, **options)
    return out.getvalue().splitlines(), err.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _uploads(settings: Any, tmp_path: Path) -> None:
    """A folder of its own for each test: other tests leave uploads behind."""
    settings.UPLOAD_DIR = tmp_path / "uploads"


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"external_id": f"r-{i}", "text": f"text {i}"}) + "\n" for i in range(3)))
    return path


@pytest.fixture
def schema_file(tmp_path: Path) -> Path:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(CHOICE_SCHEMA))
    return path


# --- People ----------------------------------------------------------------------------------------------------------


def test_a_user_is_added_with_a_password(cast: Cast) -> None:
    out, _err = run("create_user", "nora", "--password", PASSWORD)
    user = User.objects.get(username="nora")
    assert out == ["The user nora was added."]
    assert (user.check_password(PASSWORD), user.is_superuser) == (True, False)


def test_without_a_password_and_a_terminal_there_is_none(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    run("create_user", "nora", "--superuser")
    user = User.objects.get(username="nora")
    assert (user.has_usable_password(), user.is_superuser) == (False, True)


def test_the_token_stands_alone_on_the_last_line(cast: Cast) -> None:
    out, _err = run("create_user", "nora", "--password", PASSWORD, "--token")
    token = ApiToken.objects.get(user__username="nora")
    assert bytes(token.digest) == digest_token(out[-1])
    assert out[-1].split() == [out[-1]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["alice", "--password", PASSWORD], "There is already a user of this name"),
        (["nora", "--password", "short"], "too short"),
        (["no/ra", "--password", PASSWORD], "username:"),
    ],
)
def test_what_is_wrong_with_a_user_is_said_and_nobody_is_added(cast: Cast, arguments: list[str], sentence: str) -> None:
    before = User.objects.count()
    with pytest.raises(CommandError, match=sentence):
        run("create_user", *arguments, "--token")
    assert (User.objects.count(), ApiToken.objects.count()) == (before, 0)


def test_a_member_is_added_and_changed(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    out, _err = run("add_member", "forum", "mallory", "reviewer")
    assert out == ["mallory is reviewer in forum."]
    run("add_member", "forum", "mallory", "engineer")
    assert Member.objects.get(project=desk.project, user=desk.cast.mallory).role == "engineer"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent", "mallory", "owner"], 'There is no project named "absent"'),
        (["forum", "nobody", "owner"], 'There is no user named "nobody"'),
        (["forum", "mallory", "king"], "role: One of: annotator, reviewer, engineer, owner"),
        (["forum", "olga", "annotator"], "at least one owner"),
    ],
)
def test_what_is_wrong_with_a_member_is_said(make_desk: MakeDesk, arguments: list[str], sentence: str) -> None:
    make_desk(1)
    with pytest.raises(CommandError, match=sentence):
        run("add_member", *arguments)


# --- Files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_imported_and_the_last_line_is_the_counts(make_desk: MakeDesk, rows_file: Path) -> None:
    desk = make_desk(1)
    out, err = run("import_items", "forum", rows_file)
    assert json.loads(out[-1]) == {"imported": 3, "unchanged": 0, "rejected": 0}
    assert err == []
    assert Item.objects.filter(project=desk.project).count() == 4
    assert rows_file.exists()
    assert list(Path(settings.UPLOAD_DIR).glob("*")) == []
    assert Job.objects.get(kind="import").state == "done"


def test_a_rejected_file_says_which_lines_and_fails(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk(1)
    path = tmp_path / "rows.csv"
    path.write_text("external_id,text\na,hello\nb,\nt-1,other\n")
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match="Nothing was stored: 2 rows are wrong") as caught:
        call_command("import_items", "forum", str(path), stdout=out, stderr=err)
    assert caught.value.returncode == 1
    assert json.loads(out.getvalue().splitlines()[-1]) == {"imported": 0, "unchanged": 0, "rejected": 2}
    assert [line.split(":")[0] for line in err.getvalue().splitlines()] == ["line 3", "line 4"]
    assert Item.objects.filter(project=desk.project).count() == 1


def test_the_good_rows_of_a_file_are_stored_where_that_is_wanted(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk(1)
    path = tmp_path / "rows.csv"
    path.write_text("external_id,tweet,lang\na,hello,x\nb,,y\n")
    out, err = run("import_items", "forum", path, "--partial", "--text-column", "tweet")
    assert json.loads(out[-1]) == {"imported": 1, "unchanged": 0, "rejected": 1}
    assert len(err) == 1
    path.write_text("external_id,tweet,lang\na,hello,z\n")
    out, _err = run("import_items", "forum", path, "--update-metadata", "--text-column", "tweet")
    assert json.loads(out[-1]) == {"imported": 0, "unchanged": 1, "rejected": 0}
    assert desk.item("a").metadata == {"lang": "z"}


def test_a_project_is_made_for_its_first_file(cast: Cast, rows_file: Path, schema_file: Path) -> None:
    User.objects.filter(username__in=["enzo", "rita"]).update(is_superuser=True)
    run("import_items", "news", rows_file, "--create", "--schema", schema_file)
    oldest = User.objects.filter(is_superuser=True).earliest("pk")
    assert Member.objects.get(project__slug="news").user == oldest
    run("import_items", "other", rows_file, "--create", "--schema", schema_file, "--owner", "olga")
    assert Member.objects.get(project__slug="other").user == cast.olga
    out, err = run("import_items", "other", rows_file, "--create", "--schema", schema_file)
    assert json.loads(out[-1]) == {"imported": 0, "unchanged": 3, "rejected": 0}
    assert err == ["The project other is there; it is used as it is."]


def test_what_hinders_a_new_project_is_said(cast: Cast, rows_file: Path, schema_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    empty = tmp_path / "empty.json"
    empty.write_text('{"questions": []}')
    tried: dict[str, list[object]] = {
        "It is not JSON": ["--create", "--schema", broken],
        "question": ["--create", "--schema", empty, "--owner", "olga"],
        "needs --schema": ["--create"],
        "Nobody can own the project yet": ["--create", "--schema", schema_file],
        'no user named "zoe"': ["--create", "--schema", schema_file, "--owner", "zoe"],
        "cannot be read": ["--create", "--schema", tmp_path / "absent.json"],
        "belong to --create": ["--schema", schema_file],
        'no project named "news"': [],
    }
    for sentence, arguments in tried.items():
        with pytest.raises(CommandError, match=sentence):
            run("import_items", "news", rows_file, *arguments)
    assert not Project.objects.exists()


@pytest.mark.parametrize(("name", "sentence"), [("absent.csv", "There is no file"), ("x.bmp", "The format of .x.bmp.")])
def test_a_file_that_is_none_is_said_so(make_desk: MakeDesk, tmp_path: Path, name: str, sentence: str) -> None:
    make_desk(1)
    (tmp_path / "x.bmp").write_bytes(b"BM")
    with pytest.raises(CommandError, match=sentence):
        run("import_items", "forum", tmp_path / name)
    assert list(Path(settings.UPLOAD_DIR).glob("*")) == []
