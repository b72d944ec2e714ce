"""What the worker makes out of media: what it looks like, what is left out, and that it goes when its file goes."""

from __future__ import annotations

import io
import json
import math
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from PIL import Image, ImageDraw

from annotation import job_kinds
from annotation.actions.derivatives import keep_derivatives
from annotation.actions.items import quarantine_item
from annotation.actions.jobs import start_job
from annotation.actions.media import add_media, erase_item, remove_unused_media
from annotation.derivatives import NAMES, Derivation, derivative_path, explain_left_out, make_derivatives
from annotation.ffmpeg import Ffmpeg, FfmpegError, FfmpegLimits, find_ffmpeg
from annotation.jobs import JobLostError, run_job
from annotation.media import media_path
from annotation.media_child.limits import RefusedError
from annotation.media_child.outlines import BLOCK, outline
from annotation.media_reading import MediaReader
from annotation.models import Job, Media
from tests.api_client import Api, fault_of
from tests.cast import Desk, MakeDesk, import_rows
from tests.media_files import make_animation, make_image, make_wav, make_webm, pack_wav

assert job_kinds  # registers the kind

KIND = "make-derivatives"


@pytest.fixture(autouse=True)
def media_dir(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_DIR = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture
def bare(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on which neither soundfile nor any ffmpeg is installed."""
    settings.FFMPEG = ""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)


@pytest.fixture
def ffmpeg() -> str:
    """The path of an ffmpeg; the test is skipped where there is none."""
    found = find_ffmpeg()
    if found is None:
        pytest.skip("no ffmpeg found: install one, or the extra `media`")
    return found


def derive(path: Path, data: bytes, mime: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the row would hold, and what would lie on disk."""
    path.write_bytes(data)
    with MediaReader() as reader:
        done = make_derivatives(path, mime, reader)
    return done.as_json(), {one.name: one.content for one in done.made}


def open_picture(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "WEBP"
        image.load()
        return image


# --- Pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "mime"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_a_thumbnail_is_the_picture_in_small(tmp_path: Path, kind: str, mime: str) -> None:
    data = make_image(kind, (1600, 900))
    about, made = derive(tmp_path / "a", data, mime)
    thumb = open_picture(made["thumb"])
    assert thumb.size == (320, 180)
    expected = {"mime": "image/webp", "size": len(made["thumb"]), "width": 320, "height": 180}
    assert about["thumb"] == expected
    wanted = Image.open(io.BytesIO(data)).convert("L").resize((320, 180))
    found = thumb.convert("L")
    assert max(abs(a - b) for a, b in zip(wanted.tobytes(), found.tobytes(), strict=True)) < 12


def test_a_small_picture_is_not_enlarged_and_keeps_each_pixel(tmp_path: Path) -> None:
    data = make_image("PNG", (40, 30))
    _about, made = derive(tmp_path / "a", data, "image/png")
    with Image.open(io.BytesIO(data)) as sent:
        assert open_picture(made["thumb"]).convert("RGB").tobytes() == sent.convert("RGB").tobytes()


def test_nothing_recognisable_is_left_in_a_blurred_picture(tmp_path: Path) -> None:
    picture = Image.new("RGB", (800, 600), "white")
    draw = ImageDraw.Draw(picture)
    for place in range(0, 800, 20):  # as fine as writing, and as strong
        draw.rectangle((place, 0, place + 9, 600), fill="black")
    out = io.BytesIO()
    picture.save(out, "PNG")
    about, made = derive(tmp_path / "a", out.getvalue(), "image/png")
    blurred = open_picture(made["blurred"]).convert("L")
    assert blurred.size == (160, 120)
    assert about["blurred"]["width"] == 160
    darkest, brightest = blurred.getextrema()
    assert int(brightest) - int(darkest) < 16  # type: ignore[arg-type]
    assert len(made["blurred"]) < 2000


def test_a_blurred_picture_holds_no_more_than_eight_colours_a_side(tmp_path: Path) -> None:
    noise = Image.effect_noise((512, 512), 120).convert("RGB")
    out = io.BytesIO()
    noise.save(out, "PNG")
    _about, made = derive(tmp_path / "a", out.getvalue(), "image/png")
    blurred = open_picture(made["blurred"]).convert("L")
    again = blurred.resize((8, 8), Image.Resampling.BOX).resize(blurred.size, Image.Resampling.BICUBIC)
    assert max(abs(a - b) for a, b in zip(blurred.tobytes(), again.tobytes(), strict=True)) < 24


def test_an_animation_is_stood_for_by_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (400, 300), colour) for colour in ("red", "green", "blue")]
    _about, made = derive(tmp_path / "a", make_animation("GIF", frames), "image/gif")
    red, green, blue = open_picture(made["thumb"]).convert("RGB").getpixel((10, 10))  # type: ignore[misc]
    assert red > 240 > 15 > max(green, blue)


def test_what_is_seen_through_stays_clear(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (600, 600))
    picture.paste("red", (0, 0, 300, 600))
    out = io.BytesIO()
    picture.save(out, "PNG")
    _about, made = derive(tmp_path / "a", out.getvalue(), "image/png")
    thumb = open_picture(made["thumb"])
    assert thumb.mode == "RGBA"
    assert [thumb.getpixel((x, 100))[3] for x in (50, 250)] == [255, 0]  # type: ignore[index]


def test_sixteen_bits_of_grey_are_not_all_white(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("I;16", (400, 400), 32_768).save(out, "PNG")
    _about, made = derive(tmp_path / "a", out.getvalue(), "image/png")
    assert 120 < int(open_picture(made["thumb"]).convert("L").getpixel((5, 5))) < 136  # type: ignore[arg-type]


def test_what_cannot_be_decoded_is_left_out_with_its_reason(tmp_path: Path) -> None:
    about, made = derive(tmp_path / "a", make_image("PNG", (200, 200))[:-40], "image/png")
    assert made == {}
    assert about == {name: {"left_out": "damaged"} for name in NAMES["image"]}
    assert "could not be decoded" in explain_left_out("damaged")


# --- Sounds ----------------------------------------------------------------------------------------------------------


def swing(seconds: float, rate: int = 8000) -> Any:
    """A sine of 200 Hz that grows from nothing to full, (n_frames, 1)."""
    at = np.arange(int(seconds * rate), dtype=np.float32)
    return (np.sin(at * (2 * math.pi * 200 / rate)) * at / len(at)).astype(np.float32).reshape(-1, 1)


def in_blocks(samples: Any) -> Iterator[Any]:
    for at in range(0, len(samples), BLOCK):
        yield samples[at : at + BLOCK]


def as_wav(samples: Any, rate: int = 8000) -> bytes:
    return pack_wav((samples * 32767).astype("<i2").tobytes(), rate, samples.shape[1])


def check_growth(peaks: list[int], n_pairs: int) -> None:
    """The outline of `swing`: from the middle out, a straight line to full on both sides."""
    low, high = np.array(peaks[0::2]), np.array(peaks[1::2])
    assert len(low) == len(high) == n_pairs
    line = np.linspace(0, 127, n_pairs)
    assert np.abs(high - line).max() < 6
    assert np.abs(low + line).max() < 6


def test_an_outline_follows_the_swing_of_the_sound() -> None:
    seconds, body = outline(in_blocks(swing(30)), 8000)
    shown = json.loads(body)
    assert seconds == shown["seconds"] == 30
    check_growth(shown["peaks"], 1000)


def test_an_outline_lays_channels_over_each_other() -> None:
    left, right = np.zeros((8000, 1), np.float32), np.full((8000, 1), 0.5, np.float32)
    _seconds, body = outline([np.hstack([left, right])], 8000)
    peaks = json.loads(body)["peaks"]
    assert set(peaks[0::2]) == {0}
    assert set(peaks[1::2]) == {64}


@pytest.mark.parametrize(("n_frames", "n_pairs"), [(1, 1), (15, 1), (17, 2), (16_000, 1000), (16_001, 1000)])
def test_a_short_sound_has_fewer_pairs(n_frames: int, n_pairs: int) -> None:
    _seconds, body = outline([np.ones((n_frames, 1), np.float32)], 8000)
    assert json.loads(body)["peaks"] == [127, 127] * n_pairs


def test_what_is_no_number_or_too_loud_stays_within_bounds() -> None:
    odd = np.array([[np.nan], [np.inf], [-np.inf], [9.0]], np.float32)
    _seconds, body = outline([odd], 8000)
    assert json.loads(body)["peaks"] == [-127, 127]


def test_a_sound_without_a_frame_has_no_outline() -> None:
    with pytest.raises(RefusedError):
        outline([], 8000)


def test_a_file_becomes_an_outline_by_soundfile(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soundfile", reason="the extra `media` is not installed")
    settings.FFMPEG = ""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    about, made = derive(tmp_path / "a", as_wav(swing(10)), "audio/wav")
    assert about["peaks"] == {"mime": "application/json", "size": len(made["peaks"]), "seconds": 10.0}
    check_growth(json.loads(made["peaks"])["peaks"], 1000)


def test_a_file_becomes_the_same_outline_by_ffmpeg(
    tmp_path: Path, ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    about, made = derive(tmp_path / "a", as_wav(swing(10)), "audio/wav")
    assert about["peaks"]["seconds"] == pytest.approx(10, abs=0.05)
    check_growth(json.loads(made["peaks"])["peaks"], 1000)


def test_without_a_decoder_the_waveform_is_left_out_with_the_reason(tmp_path: Path, bare: None) -> None:
    about, made = derive(tmp_path / "a", make_wav(), "audio/wav")
    assert (about, made) == ({"peaks": {"left_out": "no_decoder"}}, {})
    assert "decode this sound" in explain_left_out("no_decoder")


# --- Videos ----------------------------------------------------------------------------------------------------------


def make_video(ffmpeg: str, path: Path, seconds: int = 6, size: str = "1280x720") -> bytes:
    """A video that grows from black to white, evenly."""
    grey = f"color=black:s={size}:r=10:d={seconds},format=gray,geq=lum='255*T/{seconds}'"
    command = [ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", grey, "-pix_fmt", "yuv420p", "-g", "10", str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "mime"), [("mp4", "video/mp4"), ("webm", "video/webm")])
def test_a_video_has_a_poster_and_a_sheet_of_its_frames(tmp_path: Path, ffmpeg: str, ending: str, mime: str) -> None:
    data = make_video(ffmpeg, tmp_path / f"made.{ending}", size="640x360")
    about, made = derive(tmp_path / "a", data, mime)
    assert set(made) == set(NAMES["video"])
    assert about["poster"]["seconds"] == pytest.approx(6, abs=0.3)
    assert open_picture(made["poster"]).size == (640, 360)
    assert open_picture(made["thumb"]).size == (320, 180)
    assert open_picture(made["blurred"]).size == (160, 90)
    sheet = open_picture(made["sheet"]).convert("L")
    assert sheet.size == (4 * 240, 3 * 135)
    assert (about["sheet"]["columns"], about["sheet"]["rows"]) == (4, 3)
    shades = [int(sheet.getpixel((240 * (i % 4) + 120, 135 * (i // 4) + 67))) for i in range(12)]  # type: ignore[arg-type]
    assert shades == sorted(shades)
    assert shades[-1] - shades[0] > 180
    times = about["sheet"]["seconds"]
    assert times == sorted(times)
    assert [round(one, 2) for one in times[:2]] == pytest.approx([0.25, 0.75], abs=0.05)


def test_a_video_that_no_decoder_knows_plays_without_a_picture(tmp_path: Path, ffmpeg: str) -> None:
    about, made = derive(tmp_path / "a", make_webm(), "video/webm")
    assert made == {}
    assert set(about) == set(NAMES["video"])
    assert {one["left_out"] for one in about.values()} == {"damaged"}


def test_without_ffmpeg_the_pictures_of_a_video_are_left_out_with_the_reason(tmp_path: Path, bare: None) -> None:
    about, made = derive(tmp_path / "a", make_webm(), "video/webm")
    assert made == {}
    assert about == {name: {"left_out": "no_ffmpeg"} for name in NAMES["video"]}
    assert "no ffmpeg on the server" in explain_left_out("no_ffmpeg")


def test_an_ffmpeg_that_is_named_and_not_there_is_none(settings: Any, tmp_path: Path) -> None:
    settings.FFMPEG = script(tmp_path / "ffmpeg", "")
    assert find_ffmpeg() == settings.FFMPEG
    settings.FFMPEG = str(tmp_path / "nowhere")
    assert find_ffmpeg() is None


def script(path: Path, body: str) -> str:
    """A program that is taken for ffmpeg."""
    path.write_text(f"#!{sys.executable}\nimport os, socket, sys, time\n{body}\n")
    path.chmod(0o755)
    return str(path)


def run_script(tmp_path: Path, body: str, **limits: Any) -> bytes:
    (tmp_path / "clip").write_bytes(make_wav())
    program = Ffmpeg(script(tmp_path / "ffmpeg", body), tmp_path / "clip", "audio/wav", FfmpegLimits(**limits))
    with program.decode_sound() as pieces:
        return b"".join(pieces)


@pytest.mark.parametrize(
    ("body", "limits", "fault"),
    [
        ("time.sleep(60)", {"wall_seconds": 0.5}, "time"),
        ("while True: pass", {"cpu_seconds": 1}, "time"),
        ("while True: os.write(1, bytes(65536))", {"output_bytes": 1_000_000}, "output"),
        ("x = bytearray(3 * 1024**3)", {"memory_bytes": 1024**3}, "damaged"),
        ("sys.exit(1)", {}, "damaged"),
    ],
)
def test_a_decoder_that_goes_astray_is_ended(tmp_path: Path, body: str, limits: dict[str, Any], fault: str) -> None:
    started = time.monotonic()
    with pytest.raises(FfmpegError) as caught:
        run_script(tmp_path, body, **limits)
    assert caught.value.fault == fault
    assert time.monotonic() - started < 10


def test_a_decoder_writes_no_file_and_knows_no_secret(tmp_path: Path) -> None:
    body = (
        f"try: os.write(os.open({str(tmp_path / 'out')!r}, os.O_CREAT | os.O_WRONLY), b'x')\n"
        "except OSError: print('refused')\n"
        "print(sorted(os.environ))\n"
        "print(len(sys.stdin.buffer.read()))"
    )
    lines = run_script(tmp_path, body).decode().splitlines()
    assert lines[0] == "refused"
    assert set(eval(lines[1])) <= {"LANG", "LC_CTYPE", "PYTHONPATH"}
    assert int(lines[2]) == len(make_wav())


# --- The job ---------------------------------------------------------------------------------------------------------

database = pytest.mark.django_db(transaction=True)


def add(desk: Desk, data: bytes) -> Media:
    return add_media(project=desk.project, source=io.BytesIO(data), actor=desk.cast.enzo)[0]


def run_jobs() -> list[Job]:
    """Carry out what waits, until nothing does; the jobs in their order."""
    while job := Job.objects.filter(kind=KIND, state="queued").order_by("pk").first():
        run_job(job.pk)
    return list(Job.objects.filter(kind=KIND).order_by("pk"))


def files_of(media: Media) -> set[str]:
    """The names of the derivatives that lie on disk."""
    path = media_path(media.project_id, media.sha256)
    return {one.name.partition(".")[2] for one in path.parent.iterdir() if one.name.startswith(f"{path.name}.")}


@database
def test_one_job_looks_at_all_that_came(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    pictures = [add(desk, make_image("PNG", (40 + i, 30))) for i in range(3)]
    [job] = run_jobs()
    assert (job.state, job.result) == ("done", {"made": 3, "left_out": 0})
    for media in pictures:
        media.refresh_from_db()
        assert set(media.derivatives or {}) == files_of(media) == {"thumb", "blurred"}
        path = derivative_path(desk.project.pk, media.sha256, "thumb")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_size == (media.derivatives or {})["thumb"]["size"]
    add(desk, make_image("PNG", (50, 30)))
    assert [one.result for one in run_jobs()] == [{"made": 3, "left_out": 0}, {"made": 1, "left_out": 0}]


def begin_with_two(desk: Desk) -> list[tuple[str, Any]]:
    """The states and results of the jobs once the first has ended, with two files to look at."""
    add(desk, make_image("PNG"))
    add(desk, make_image("PNG", (20, 20)))
    run_job(Job.objects.get(kind=KIND).pk)
    return list(Job.objects.filter(kind=KIND).order_by("pk").values_list("state", "result"))


@database
def test_a_job_gives_way_after_a_while_and_another_goes_on(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_kinds.derivatives, "LOOK_SECONDS", 0.0)
    with monkeypatch.context() as short:
        short.setattr(job_kinds.derivatives, "SLICE_SECONDS", 0.0)
        found = begin_with_two(make_desk(n=1))
    assert found == [("done", {"made": 1, "left_out": 0}), ("queued", None)]
    assert [one.result for one in run_jobs()] == [{"made": 1, "left_out": 0}] * 2


@database
def test_a_job_gives_way_to_other_work(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_kinds.derivatives, "LOOK_SECONDS", 0.0)
    desk = make_desk(n=1)
    other = start_job(kind="import", project=desk.project, created_by=None)
    assert begin_with_two(desk) == [("done", {"made": 1, "left_out": 0}), ("queued", None)]
    Job.objects.filter(pk=other.pk).delete()
    assert run_jobs()[-1].result == {"made": 1, "left_out": 0}


@database
def test_a_job_that_was_cut_off_goes_on_where_it_stood(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    first, second = add(desk, make_image("PNG")), add(desk, make_image("PNG", (20, 20)))
    assert keep_derivatives(project=desk.project, media=first, derivation=Derivation(), check=lambda: None)
    [job] = run_jobs()
    assert job.result == {"made": 1, "left_out": 0}
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.derivatives, set(second.derivatives or {})) == ({}, {"thumb", "blurred"})


@database
def test_an_attempt_that_lost_its_job_stores_nothing(make_desk: MakeDesk) -> None:
    media = add(make_desk(n=1), make_image("PNG"))

    def refuse() -> None:
        raise JobLostError

    with pytest.raises(JobLostError):
        keep_derivatives(project=media.project, media=media, derivation=Derivation(), check=refuse)
    media.refresh_from_db()
    assert media.derivatives is None


@database
def test_what_is_made_of_a_file_that_went_meanwhile_is_not_kept(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    media = add(desk, make_image("PNG"))
    with MediaReader() as reader:
        done = make_derivatives(media_path(desk.project.pk, media.sha256), media.mime, reader)
    remove_unused_media(project=desk.project, sha256=[media.sha256])
    assert not keep_derivatives(project=desk.project, media=media, derivation=done, check=lambda: None)
    assert files_of(media) == set()


@database
def test_a_file_that_is_erased_takes_along_what_was_made_of_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    media = add(desk, make_image("PNG"))
    import_rows(desk.project, [{"external_id": "image", "parts": [{"kind": "image", "media": media.sha256}]}])
    run_jobs()
    assert files_of(media) == {"thumb", "blurred"}
    run_job(erase_item(item=desk.item("image"), actor=desk.cast.olga, reason="asked for").pk)
    assert files_of(media) == set()


# --- How it is shown -------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(make_desk: MakeDesk) -> tuple[Desk, Media]:
    """A project with a text and a picture of 400 by 300 pixels."""
    desk = make_desk(n=1)
    media = add(desk, make_image("PNG", (400, 300)))
    import_rows(desk.project, [{"external_id": "image", "parts": [{"kind": "image", "media": media.sha256}]}])
    return desk, media


def find_src(api: Api) -> str:
    """The address of what is no text, as a lease shows it."""
    parts = [part for lease in api.lease(n=2) for part in lease["item"]["parts"]]
    [src] = [part["src"] for part in parts if part["kind"] != "text"]
    return str(src)


def read(response: Any) -> bytes:
    assert response.status_code == 200, response.content
    return b"".join(response.streaming_content)


@database
def test_the_address_of_a_lease_opens_what_was_made_too(shown: tuple[Desk, Media]) -> None:
    desk, media = shown
    run_jobs()
    alice = Api(desk.cast.alice)
    src = find_src(alice)
    response = alice.get(f"{src}&v=blurred")
    assert open_picture(read(response)).size == (160, 120)
    assert response["Content-Type"] == "image/webp"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "private, no-store"
    assert response["Content-Disposition"] == f'attachment; filename="{media.sha256[:16]}-blurred.webp"'
    itself = alice.get(src)
    assert len(read(itself)) == media.size
    assert response["ETag"] != itself["ETag"]
    assert fault_of(Api(desk.cast.bob).get(f"{src}&v=blurred")) == (404, "not_found")
    assert fault_of(alice.get(f"{src}&v=peaks")) == (404, "not_made")
    assert fault_of(alice.get(f"{src}&v=../{media.sha256}")) == (404, "not_made")


@database
def test_until_the_worker_has_looked_a_thumbnail_is_the_picture(shown: tuple[Desk, Media]) -> None:
    desk, _media = shown
    alice = Api(desk.cast.alice)
    src = find_src(alice)
    assert read(alice.get(f"{src}&v=thumb")) == read(alice.get(src))
    assert fault_of(alice.get(f"{src}&v=blurred")) == (404, "not_made")


@database
def test_the_desk_is_told_what_there_is_and_where(shown: tuple[Desk, Media]) -> None:
    desk, media = shown
    alice, path = Api(desk.cast.alice), f"projects/forum/media/{media.sha256}"
    token = find_src(alice).partition("?")[2]
    assert alice.get(f"{path}?{token}").json()["state"] == "waiting"
    run_jobs()
    told = alice.get(f"{path}?{token}").json()
    assert (told["state"], told["width"], told["height"], told["left_out"]) == ("made", 400, 300, {})
    assert set(told["derivatives"]) == {"thumb", "blurred"}
    for about in told["derivatives"].values():
        picture = open_picture(read(alice.get(about["src"])))
        assert picture.size == (about["width"], about["height"])
    assert fault_of(alice.get(path)) == (404, "not_found")
    assert fault_of(Api(desk.cast.bob).get(f"{path}?{token}")) == (404, "not_found")
    assert Api(desk.cast.enzo).get(path).json()["state"] == "made"


@database
def test_what_is_left_out_is_said(make_desk: MakeDesk, bare: None) -> None:
    desk = make_desk(n=1)
    media = add(desk, make_webm())
    import_rows(desk.project, [{"external_id": "clip", "parts": [{"kind": "video", "media": media.sha256}]}])
    [job] = run_jobs()
    assert job.result == {"made": 0, "left_out": 1}
    told = Api(desk.cast.enzo).get(f"projects/forum/media/{media.sha256}").json()
    assert (told["state"], told["derivatives"], set(told["left_out"])) == ("made", {}, set(NAMES["video"]))
    assert "no ffmpeg on the server" in told["left_out"]["poster"]
    alice = Api(desk.cast.alice)
    response = alice.get(f"{find_src(alice)}&v=poster")
    assert fault_of(response) == (404, "not_made")
    assert "no ffmpeg on the server" in response.json()["detail"]


@database
def test_what_was_left_out_is_made_once_it_can_be(
    make_desk: MakeDesk, ffmpeg: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(n=1)
    sound, picture = add(desk, as_wav(swing(1))), add(desk, make_image("PNG"))
    with monkeypatch.context() as earlier:
        earlier.setenv("PATH", "/nowhere")
        earlier.setitem(sys.modules, "soundfile", None)
        earlier.setitem(sys.modules, "imageio_ffmpeg", None)
        run_jobs()
    out = io.StringIO()
    call_command("derive_media", "forum", stdout=out)
    assert out.getvalue() == "1 file is looked at again.\n"
    assert [job.result for job in run_jobs()] == [{"made": 1, "left_out": 1}, {"made": 1, "left_out": 0}]
    assert (files_of(sound), files_of(picture)) == ({"peaks"}, {"thumb", "blurred"})
    call_command("derive_media", "forum", stdout=out)
    assert out.getvalue().endswith("0 files are looked at again.\n")
    assert len(run_jobs()) == 2


@database
def test_quarantine_closes_every_address_at_once_and_removes_what_was_made(shown: tuple[Desk, Media]) -> None:
    desk, media = shown
    run_jobs()
    alice, enzo = Api(desk.cast.alice), Api(desk.cast.enzo)
    src = find_src(alice)
    quarantine_item(item=desk.item("image"), actor=desk.cast.rita)
    for address in (src, f"{src}&v=thumb", f"{src}&v=blurred"):
        assert fault_of(alice.get(address)) == (404, "not_found")
    assert fault_of(enzo.get(f"projects/forum/media/{media.sha256}")) == (404, "not_found")
    assert files_of(media) == set()
    assert media_path(desk.project.pk, media.sha256).exists()
    add(desk, make_image("PNG"))
    assert run_jobs()[-1].result == {"made": 1, "left_out": 0}
    assert files_of(media) == set()


@database
def test_lists_show_what_stands_for_an_item(shown: tuple[Desk, Media], client: Any, bare: None) -> None:
    desk, _media = shown
    clip = add(desk, make_webm())
    import_rows(desk.project, [{"external_id": "clip", "parts": [{"kind": "video", "media": clip.sha256}]}])
    client.force_login(desk.cast.enzo, backend="django.contrib.auth.backends.ModelBackend")
    for _look in range(2):  # before and after the worker has looked
        page = client.get("/p/forum/items/").content.decode()
        assert page.count("&amp;v=thumb") == 1
        assert 'class="thumb"' in page
        assert ">Video<" in page
        run_jobs()
