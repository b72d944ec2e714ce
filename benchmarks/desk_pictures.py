"""Pictures of the desk with content of every kind: light and dark, on a laptop (1280) and on a phone (390).

    .venv/bin/python -m benchmarks.desk_pictures                    # into docs/images/desk; about two minutes

Starts an installation of its own, fills one project for each kind, and looks at it in a headless Chromium.
"""

from __future__ import annotations

import argparse
import io
import secrets
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from playwright.sync_api import FloatRect, Page, sync_playwright

from benchmarks.desk_content import Parts, make_content
from benchmarks.installation import Site, add_options, make_owner, open_site
from benchmarks.measuring import say
from config.home import ROOT

if TYPE_CHECKING:
    from annotation.models import Project, User

PASSWORD = secrets.token_urlsafe()
SIZES = {1280: 800, 390: 844}
THEMES = ("light", "dark")
COLOURS = 256  # of a picture's palette
# Keys that show more of what a viewer does, and pixels that it needs more than the screen has.
KEYS = {"audio": ["ArrowRight", "[", "Shift+ArrowRight", "]", "ArrowLeft"], "video": ["ArrowRight"]}
ROOM = {"video": 300, "mixed": 200}
SCHEMA = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "text": "Which rule does it break?",
            "required": True,
            "choices": [
                {"value": "none", "text": "None of them", "key": "1"},
                {"value": "spam", "text": "Spam or fraud", "key": "2"},
                {"value": "insult", "text": "Insult", "key": "3"},
            ],
        }
    ]
}


def fill_project(name: str, items: Iterable[Parts], owner: User) -> Project:
    """A project with these items, each given as its parts."""
    from annotation.actions.imports import load_items
    from annotation.actions.media import add_media
    from annotation.actions.projects import create_project
    from annotation.importing.rows import parse_row

    settings = {"learning": {"holdout_share": 0, "every": None}}
    project = create_project(
        slug=name, name=name.replace("-", " ").capitalize(), schema=SCHEMA, settings=settings, owner=owner
    )
    assert project.schema is not None
    kept: dict[bytes, str] = {}  # content -> its SHA-256

    def store(part: dict[str, Any]) -> dict[str, Any]:
        if "text" in part:
            return part
        content = part["media"]
        if content not in kept:
            kept[content] = add_media(project=project, source=io.BytesIO(content), actor=owner)[0].sha256
        return part | {"media": kept[content]}

    told = ({"external_id": f"{name}-{n}", "parts": [*map(store, parts)]} for n, parts in enumerate(items, start=1))
    compiled = project.schema.compiled
    rows = [(n, parse_row(row, compiled)) for n, row in enumerate(told, start=1)]
    outcome, is_stored = load_items(project=project, read=lambda: iter(rows), actor=None)
    assert is_stored, outcome
    return project


def take_pictures(page: Page, site: Site, names: list[str], theme: str, folder: Path) -> None:
    """One picture of each project's desk, in every size."""
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    for name in names:
        for width, height in SIZES.items():
            height = height + ROOM.get(name, 0)
            page.set_viewport_size({"width": width, "height": height})
            page.goto(f"http://127.0.0.1:{site.port}/p/{name}/label/")
            page.wait_for_selector("#item .item")
            page.wait_for_timeout(900)
            for key in KEYS.get(name, ()):
                page.keyboard.press(key)
            page.evaluate("document.querySelector('[data-tool=sheet]:not([hidden])')?.click()")
            page.wait_for_timeout(500)
            picture = Image.open(io.BytesIO(page.screenshot(clip=crop(page, width, height))))
            small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            small.save(folder / f"{name}-{width}-{theme}.png", optimize=True)


def crop(page: Page, width: int, height: int) -> FloatRect:
    """The desk without the bars above it."""
    top = page.evaluate("document.querySelector('.desk-status').getBoundingClientRect().top")
    return {"x": 0, "y": top, "width": width, "height": height - top}


def sign_in(page: Page, site: Site) -> None:
    page.goto(f"http://127.0.0.1:{site.port}/sign-in/")
    page.fill("input[name=username]", "owner")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_selector(".who")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "images" / "desk")
    parser.add_argument("--only", nargs="*", help="these kinds of content alone")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    content = {name: parts for name, parts in make_content().items() if not args.only or name in args.only}
    with open_site(args) as site:
        fill_site(content)
        look_at_site(site, list(content), args)
    size = sum(path.stat().st_size for path in args.folder.glob("*.png"))
    say(f"{len(list(args.folder.glob('*.png')))} pictures, {size / 1000:,.0f} kB, in {args.folder}")


def fill_site(content: dict[str, Parts]) -> None:
    """A project for each kind of content, and the one who owns them all and can sign in."""
    from annotation.models import Project

    owner = prepare_owner()
    for name, parts in content.items():
        if not Project.objects.filter(slug=name).exists():
            fill_project(name, [parts], owner)
    wait_for_derivatives()


def prepare_owner() -> User:
    """The one who owns the projects and can sign in."""
    from annotation.models import User

    owner = User.objects.filter(username="owner").first() or make_owner()
    owner.set_password(PASSWORD)
    owner.save(update_fields=["password"])
    return owner


def wait_for_derivatives() -> None:
    """Until the worker has looked at every file."""
    from annotation.models import Media

    deadline = time.monotonic() + 120
    while Media.objects.filter(derivatives=None).exists():
        assert time.monotonic() < deadline, "the worker makes no waveforms"
        time.sleep(0.5)


def look_at_site(site: Site, names: list[str], args: argparse.Namespace) -> None:
    """Take every picture. What the browser complains about is said."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: say(f"console: {message.text}"))
        page.on("pageerror", lambda error: say(f"error: {error}"))
        sign_in(page, site)
        for theme in THEMES:
            take_pictures(page, site, names, theme, args.folder)
        browser.close()


if __name__ == "__main__":
    main()
