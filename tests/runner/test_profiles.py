"""Profiles are kept by their content, a stranger's change is noticed, damage is mended."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from echoaudit.cli import group
from echoaudit.errors import BadInput, Damaged
from echoaudit.instruments.browser import Browser
from echoaudit.instruments.browser.cookies import Restored
from echoaudit.instruments.browser.snapshots import Snapshots, damage, digest
from echoaudit.recording import Recording, write_json
from echoaudit.runner.profiles import Profiles, beside, known

sys.path.insert(0, str(Path(__file__).parents[1] / "instruments"))
from loopback_sites import LONG, NEWS, Answer, Sites, settings

ACCOUNT = "fashion-1"


def make_profile(profile: Path, names: list[str]) -> None:
    for name in names:
        path = profile / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    (profile / "Default" / "Preferences").write_text("{}")


def new_recording(folder: Path) -> Recording:
    return Recording.create(
        folder,
        study_files={"personas/fashion.yaml": b"persona: fashion\n"},
        study_hash="5" * 64,
        study={"study": "profiles"},
        config={},
        plan={"waves": []},
        tools={},
    )


@pytest.fixture
def recording(tmp_path):
    with new_recording(tmp_path / "recording") as found:
        yield found


def told(recording):
    return [event.data for event in recording.events() if event.event == "profile"]


def test_equal_contents_are_equal_snapshots_and_caches_do_not_count(tmp_path):
    names = ["Default/Cookies2", "Default/Local Storage/leveldb/000003.log", "Local State2"]
    one, other = tmp_path / "one", tmp_path / "other"
    make_profile(one / ACCOUNT, names)
    make_profile(other / ACCOUNT, names[::-1])
    for file in (other / ACCOUNT).rglob("*"):
        os.utime(file, (1, 1))
    (other / ACCOUNT / "Default" / "Cache").mkdir()
    (other / ACCOUNT / "Default" / "Cache" / "data").write_text("a page")
    (other / ACCOUNT / "SingletonLock").symlink_to("host-123")
    kept = [Snapshots(folder).keep(ACCOUNT) for folder in (one, other)]
    archives = [next((f / ".snapshots" / ACCOUNT).iterdir()) for f in (one, other)]
    assert kept[0] == kept[1]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    assert {archive.stat().st_mode & 0o777 for archive in archives} == {0o600}
    assert (one / ".snapshots").stat().st_mode & 0o777 == 0o700
    (other / ACCOUNT / "Default" / "Cookies2").write_text("another")
    assert digest(other / ACCOUNT) != kept[0]


def test_a_snapshot_that_is_not_what_its_name_says_is_not_restored(tmp_path):
    make_profile(tmp_path / ACCOUNT, ["Default/Web Data"])
    snapshots = Snapshots(tmp_path)
    first = snapshots.keep(ACCOUNT)
    (tmp_path / ACCOUNT / "Default" / "Web Data").write_text("more")
    second = snapshots.keep(ACCOUNT)
    folder = tmp_path / ".snapshots" / ACCOUNT
    shutil.copy(folder / f"{second}.tar.zst", folder / f"{first}.tar.zst")
    with pytest.raises(Damaged, match="not what its name says"):
        snapshots.restore(ACCOUNT, first)
    with pytest.raises(Damaged, match="no such snapshot"):
        snapshots.restore(ACCOUNT, "0" * 64)
    assert digest(tmp_path / ACCOUNT) == second


def test_what_a_killed_browser_left_half_done_is_no_damage_but_a_torn_file_is(tmp_path):
    profile = tmp_path / ACCOUNT
    (profile / "Default").mkdir(parents=True)
    file = tmp_path / "live"
    live = sqlite3.connect(file, isolation_level=None)
    live.executescript("PRAGMA cache_size=1; CREATE TABLE cookies (value TEXT);")
    live.executemany("INSERT INTO cookies VALUES (?)", [("x" * 500,)] * 50)
    live.execute("BEGIN")
    live.execute("UPDATE cookies SET value = value || 'y'")
    shutil.copy(file, profile / "Default" / "Cookies")
    shutil.copy(f"{file}-journal", profile / "Default" / "Cookies-journal")
    live.close()
    before = digest(profile)
    assert damage(profile) is None
    assert digest(profile) == before
    content = bytearray((profile / "Default" / "Cookies").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (profile / "Default" / "Cookies-journal").unlink()
    (profile / "Default" / "Cookies").write_bytes(content)
    assert damage(profile).startswith("Default/Cookies: ")
    (profile / "Default" / "Cookies").unlink()
    (profile / "Local State").write_text('{"half": ')
    assert damage(profile) == "Local State is no JSON"


@pytest.mark.web
def test_a_damaged_profile_is_mended_so_that_the_persona_keeps_its_cookies(recording, tmp_path):
    sites = Sites(tmp_path)
    sites.pages[NEWS, "/"] = Answer("news", headers=[("Set-Cookie", f"id=12345678; {LONG}")])
    lines = []
    profiles = Profiles(tmp_path / "profiles", recording, lines.append)

    def visit(phase):
        sites.log.clear()
        with (
            profiles.kept(ACCOUNT, phase) as kept,
            Browser(settings(sites), kept.path, extra_arguments=sites.arguments) as browser,
        ):
            browser.visit(f"https://{NEWS}/", tmp_path / phase)
        return sites.log[0].cookie

    try:
        assert visit("before") == ""
        assert visit("before") == "id=12345678"
        assert lines == []
        cookies = profiles.folder / ACCOUNT / "Default" / "Cookies"
        cookies.write_bytes(b"\0" * cookies.stat().st_size)
        assert visit("after") == "id=12345678"
    finally:
        sites.close()
    assert [line.partition(" (")[0] for line in lines] == [
        f"{ACCOUNT}: the browser profile was damaged",
        f"{ACCOUNT}: the browser profile was altered by somebody else since its use",
    ]
    records = told(recording)
    assert [r["when"] for r in records] == ["opened", "closed"] * 2 + [
        "restored", "opened", "closed",
    ]  # fmt: skip
    assert records[4]["hash"] == records[3]["hash"] == records[5]["hash"]
    assert records[1]["hash"] == records[2]["hash"]
    assert [r["altered"] for r in records if r["when"] == "opened"] == [False, False, True]
    assert not any("in_order" in r for r in records), "each browser had written its profile"
    assert all(event.event != "cookies" for event in recording.events())
    ends = {records[3]["hash"], records[6]["hash"]}
    assert Snapshots(profiles.folder).kept(ACCOUNT) == ends
    assert not list(recording.folder.rglob("*.zst"))


def test_what_a_killed_run_left_is_no_strangers_doing(recording, tmp_path):
    folder, lines = tmp_path / "profiles", []
    make_profile(folder / ACCOUNT, ["Default/Web Data"])
    with (
        pytest.raises(KeyboardInterrupt),
        Profiles(folder, recording, lines.append).kept(ACCOUNT, "before") as kept,
    ):
        (kept.path / "Default" / "Web Data").write_text("visited")
        raise KeyboardInterrupt
    with Profiles(folder, recording, lines.append).kept(ACCOUNT, "before"):
        pass
    assert lines == []
    (folder / ACCOUNT / "Default" / "Web Data").write_text("a stranger's")
    with Profiles(folder, recording, lines.append).kept(ACCOUNT, "after"):
        pass
    assert len(lines) == 1
    assert known(recording.events())[ACCOUNT].altered == ["after"]


VISIT = f"{ACCOUNT}/visits/b1-news"
LASTING = {"name": "id", "session": False}
PASSING = {"name": "tab", "session": True}


def killed(profiles, *, visiting=False):
    """A run that is killed while its browser is open."""
    with pytest.raises(KeyboardInterrupt), profiles.kept(ACCOUNT, "before", [VISIT]) as kept:
        if visiting:
            with profiles._recording.step(VISIT, "visit", account=ACCOUNT) as folder:
                write_json(folder / "cookies.json", {"before": [], "after": [LASTING, PASSING]})
        raise KeyboardInterrupt
    return kept.cookies


def test_a_browser_gets_what_the_one_before_had_not_written(recording, tmp_path):
    """However often runs are killed, until a browser has written it or somebody else has been."""
    folder, lines = tmp_path / "profiles", []
    make_profile(folder / ACCOUNT, ["Default/Web Data"])

    def profiles():
        return Profiles(folder, recording, lines.append)

    assert killed(profiles(), visiting=True) is None
    assert killed(profiles()) == [LASTING, PASSING]
    with profiles().kept(ACCOUNT, "before", [VISIT]) as kept:
        assert (kept.after, kept.cookies) == (VISIT, [LASTING, PASSING])
        kept.in_order = False
    with profiles().kept(ACCOUNT, "after") as kept:
        assert kept.cookies == [LASTING], "another browser than the visit's in any case"
        profiles().note_cookies(ACCOUNT, "after", kept, Restored(2, 1, 0))
    assert killed(profiles()) is None, "written"
    assert known(recording.events())[ACCOUNT].cookies == ["after"]
    assert lines == [
        f"{ACCOUNT}: the browser before was gone before it had written its cookies: "
        "2 set, 1 removed, 0 not to be had"
    ]


def test_what_somebody_has_done_since_a_run_was_killed_stays(recording, tmp_path):
    folder, lines = tmp_path / "profiles", []
    make_profile(folder / ACCOUNT, ["Default/Web Data"])
    killed(Profiles(folder, recording, lines.append), visiting=True)
    Snapshots(folder).note_use(ACCOUNT)  # as ``echoaudit login`` does
    assert killed(Profiles(folder, recording, lines.append)) is None
    assert killed(Profiles(folder, recording, lines.append)) is None
    assert known(recording.events())[ACCOUNT].altered == ["before"]
    assert [line.partition(": ")[2] for line in lines] == [
        "the browser profile was altered by somebody else since its use"
    ]


def run(*arguments):
    return CliRunner().invoke(group, ["profiles", *map(str, arguments)])


def test_the_command_shows_profiles_and_restores_one(recording, tmp_path):
    folder = beside(recording.folder) / "profiles"
    make_profile(folder / ACCOUNT, ["Default/Web Data"])
    profiles = Profiles(folder, recording, print)
    for phase in ("before", "after"):
        with profiles.kept(ACCOUNT, phase) as kept:
            (kept.path / "Default" / "Web Data").write_text(phase)
    recording.close()
    before = known(recording.events())[ACCOUNT].phases["before"]
    assert run(recording.folder).output.startswith(f"{ACCOUNT}: as left; before {before[:12]}")
    (folder / ACCOUNT / "Default" / "Web Data").write_text("a stranger's")
    altered = CliRunner().invoke(
        group, ["profiles", str(recording.folder), "--json"], standalone_mode=False
    )
    assert (altered.return_value, json.loads(altered.output)[ACCOUNT]["state"]) == (1, "altered")
    done = run(recording.folder, "--restore", ACCOUNT, "--to", before[:12])
    assert done.output == f"{ACCOUNT}: profile restored to {before}\n"
    assert (folder / ACCOUNT / "Default" / "Web Data").read_text() == "before"
    last = told(Recording.open(recording.folder))[-1]
    assert (last["when"], last["hash"], last["reason"]) == ("restored", before, "by hand")
    assert run(recording.folder).output.startswith(f"{ACCOUNT}: as left")
    for wrong in (["--restore", "nobody-1"], ["--restore", ACCOUNT, "--to", "ffff"]):
        assert isinstance(run(recording.folder, *wrong).exception, BadInput)
