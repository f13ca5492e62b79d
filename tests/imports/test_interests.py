"""Data requests: what the platform sent becomes evidence of a recording that is there."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from import_kit import run

from echoaudit import findings
from echoaudit.cli import group
from echoaudit.errors import BadInput, EchoauditError
from echoaudit.imports.interests import files_of
from echoaudit.outcomes import data_requests, interests
from echoaudit.outcomes.interest_files import read
from echoaudit.recording import Recording, verify

GOLDEN = Path(__file__).parents[1] / "golden" / "recording"
PLATFORM = "Amazon Audiences in which you are included"
BEFORE, AFTER = "2020-01-01", "2040-01-01"


@pytest.fixture
def recording(tmp_path):
    return shutil.copytree(GOLDEN, tmp_path / "r")


def csv(*entries, column=PLATFORM):
    return "\ufeff" + "\r\n".join([f'"{column}"', *(f'"{e}"' for e in entries)]) + "\r\n"


def asked(recording, *files, account="fashion-1", phase="after", requested=AFTER, more=()):
    return run("interests", *files, "--into", recording, "--account", account, "--phase", phase,
               "--requested", requested, *more)  # fmt: skip


def told(tmp_path, recording, account, phase, *entries):
    path = tmp_path / f"{account}-{phase}-interests.csv"
    path.write_text(csv(*entries))
    done = asked(recording, path, account=account, phase=phase,
                 requested=BEFORE if phase == "before" else AFTER)  # fmt: skip
    assert done.exit_code == 0, done.exception or done.output


def refused(recording, *arguments, **options):
    before = {p: p.read_bytes() for p in sorted(recording.rglob("*")) if p.is_file()}
    done = asked(recording, *arguments, **options)
    assert isinstance(done.exception, EchoauditError), (done.exception, done.output)
    assert {p: p.read_bytes() for p in sorted(recording.rglob("*")) if p.is_file()} == before
    assert str(done.exception).isprintable()
    return str(done.exception)


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, text in members.items():
            out.writestr(name, text)
    return path


def platform_export(path):
    """As the platform lays it out: files of a hundred entries, among much else."""
    return archive(
        path,
        **{
            "Advertising.1/Advertising.AmazonAudiences.csv": csv("Fashion", "Shoes, Men’s"),
            "Advertising.2/Advertising.AmazonAudiences.csv": csv("Books", "Fashion"),
            "Advertising.1/Advertising.3PAudiences.csv": csv(
                "Likely to buy boots", column="Audiences in which you are included via 3rd Parties"
            ),
            "Advertising.1/Advertising.AdvertiserAudiences.csv": csv(
                "Boots Inc", column="Advertisers who brought audiences in which you are included"
            ),
            "Advertising.1/Advertising.AdvertiserClicks.csv": csv(
                column="Advertisers whose ads you clicked"
            ),
            "Retail.OrderHistory.1/Retail.OrderHistory.1.csv": "Address\r\nSecret Street\r\n",
        },
    )


def test_an_export_is_added_behind_the_seal_and_only_what_lists_interests_is_kept(
    tmp_path, recording
):
    head = Recording.open(recording).head
    done = asked(recording, platform_export(tmp_path / "Your data.zip"))
    assert done.exit_code == 0, done.exception
    assert "fashion-1/data-requests/after-1: 4 interests in 5 files" in done.output
    assert verify(recording, "full") == []
    opened = Recording.open(recording)
    assert opened.sealed and opened.amendments == 1
    assert head in {event.hash for event in opened.events()}, "the old seal is part of the chain"
    assert b"Secret" not in b"".join(p.read_bytes() for p in recording.rglob("*.csv"))
    (row,) = data_requests.derive(opened).to_dict("records")
    assert (row["interests"], row["advertisers"], row["files"]) == (4, 1, 5)
    assert row["state"] == "answered"
    table = interests.derive(opened)
    assert dict(zip(table["interest"], table["list"], strict=True)) == {
        "Books": "platform",
        "Fashion": "platform",
        "Shoes, Men’s": "platform",
        "Likely to buy boots": "third-party",
        "Boots Inc": "advertiser",
    }
    twice = table[table["interest"] == "Fashion"].iloc[0]
    assert twice["file"] == "Advertising.1/Advertising.AmazonAudiences.csv"


def test_a_second_request_is_a_step_of_its_own_and_the_last_one_counts(tmp_path, recording):
    told(tmp_path, recording, "fashion-1", "after", "Old")
    told(tmp_path, recording, "fashion-1", "after", "New")
    assert verify(recording, "full") == []
    opened = Recording.open(recording)
    assert opened.amendments == 2
    table = interests.derive(opened)
    assert dict(zip(table["interest"], table["latest"], strict=True)) == {"New": True, "Old": False}


def test_the_same_answer_again_changes_nothing(tmp_path, recording):
    told(tmp_path, recording, "fashion-1", "after", "Fashion")
    before = (recording / "journal.jsonl").read_bytes()
    told(tmp_path, recording, "fashion-1", "after", "Fashion")
    assert (recording / "journal.jsonl").read_bytes() == before


def test_a_question_about_interests_is_asked_once_they_are_there(tmp_path, recording):
    before = findings.compute(Recording.open(recording))
    assert not [c for c in before.conclusions if c.outcome == "interests"]
    for account in ("fashion-1", "vanilla-1", "vanilla-2", "vanilla-3"):
        told(tmp_path, recording, account, "before", "Books")
        new = ("Fashion", "Books") if account == "fashion-1" else ("Books",)
        told(tmp_path, recording, account, "after", *new)
    found = findings.compute(Recording.open(recording))
    (judged,) = [c for c in found.conclusions if c.outcome == "interests"]
    assert (judged.claim, judged.measure) == ("fashion-interests", "exclusive")
    assert judged.exploratory and not judged.registered
    assert dict(judged.sets.counts) == {
        "fashion-1": 1, "vanilla-1": 0, "vanilla-2": 0, "vanilla-3": 0,
    }, "what an account had before is not compared"  # fmt: skip
    assert judged.state == "insufficient" and "unreplicated" in judged.reason
    assert [c.to_json() for c in found.conclusions if c.outcome != "interests"] == [
        c.to_json() for c in before.conclusions
    ]
    assert found.provenance["recording"]["amended"] == 8
    page = tmp_path / "page.html"
    findings.write_report(Recording.open(recording), found, page)
    assert "What the platform says its customers are interested in" in page.read_text()
    findings.write(recording, found)
    assert findings.check(Recording.open(recording)) == []


def test_a_recording_that_is_not_sealed_stays_so(tmp_path, recording):
    lines = (recording / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert b'"sealed"' in lines[-1]
    (recording / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    (recording / "manifest.json").unlink()
    told(tmp_path, recording, "fashion-1", "after", "Fashion")
    opened = Recording.open(recording)
    assert not opened.sealed and not opened.amendments
    assert verify(recording, "full") == []


def test_an_answer_without_interests_is_not_an_account_without_interests(tmp_path, recording):
    empty = tmp_path / "my-interests.csv"
    empty.write_text(csv())
    assert asked(recording, empty).exit_code == 0
    nothing = archive(tmp_path / "a.zip", **{"Retail.csv": "a\r\n"})
    message = refused(recording, nothing, account="vanilla-1")
    assert "no file of interests is in it" in message and "--none-sent" in message
    assert asked(recording, nothing, account="vanilla-1", more=["--none-sent"]).exit_code == 0
    rows = data_requests.derive(Recording.open(recording)).set_index("account")
    assert rows["state"].to_dict() == {"fashion-1": "answered", "vanilla-1": "none sent"}


def test_what_does_not_fit_the_recording_is_refused_and_nothing_is_written(tmp_path, recording):
    path = tmp_path / "interests.json"
    path.write_text(json.dumps(["Fashion"]))
    assert "'pets-1' took no part; allowed: fashion-1, vanilla-1" in refused(
        recording, path, account="pets-1"
    )
    wrong_side = refused(recording, path, phase="before", requested=AFTER)
    assert "wrong side of the first treatment of fashion-1" in wrong_side
    assert "wrong side" in refused(recording, path, phase="after", requested=BEFORE)
    assert "--requested" in refused(recording, path, requested="yesterday")
    assert "no such file" in refused(recording, tmp_path / "none.csv")
    assert "neither CSV, JSON nor a zip" in refused(recording, Path(__file__))
    whole = platform_export(tmp_path / "cut.zip").read_bytes()
    (tmp_path / "cut.csv").write_bytes(whole[:200])
    assert "not UTF-8" in refused(recording, tmp_path / "cut.csv")
    bomb = archive(tmp_path / "bomb.zip", **{"interests.csv": "interest\r\n" + "a\r\n" * (1 << 25)})
    assert "is larger than" in refused(recording, bomb)
    missing = run("interests", path, "--into", tmp_path / "none", "--account", "fashion-1",
                  "--phase", "after", "--requested", AFTER)  # fmt: skip
    assert "not a recording" in str(missing.exception)


def test_a_damaged_archive_is_refused_in_one_line_or_read_whole(tmp_path):
    """Any byte of it changed."""
    whole = platform_export(tmp_path / "x.zip").read_bytes()
    path, scratch = tmp_path / "y.zip", tmp_path / "scratch"
    scratch.mkdir()
    refusals = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            files_of([path], scratch)
        except BadInput as error:
            assert str(error).isprintable() and "y.zip" in str(error)
            refusals += 1
        (scratch / "0").unlink()
    assert refusals > len(whole) / 4


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", b"", "a.csv:1: is empty"),
        ("a.csv", b"Interest,Score\nFashion,3\n", "a.csv:1: column 'Score' is not known; allowed"),
        ("a.csv", b"interest\nFashion,3\n", "a.csv:2: 2 cells; allowed: 1"),
        ("a.csv", b'interest\n"Fash"ion\n', "a.csv:2: not CSV"),
        ("a.csv", b"interest\nok\n\xff\xfe\n", "a.csv:3: not UTF-8"),
        ("a.csv", b"interest\n" + b"a" * 501 + b"\n", "a.csv:2: an entry of 501 characters"),
        ("a.json", b'{"interests": "Fashion"}', "'interests' is no list"),
        ("a.json", b'{"orders": []}', "column 'orders' is not known"),
        ("a.json", b'[{"interest": 3}]', "entry 1: '3' is no text"),
        ("a.json", b'"Fashion"', "allowed: a list of texts"),
        ("a.json", b"[", "a.json"),
    ],
)
def test_what_a_file_means_is_not_guessed(name, data, words):
    with pytest.raises(BadInput) as error:
        read(data, name)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", "\ufeffInterest\r\n Fashion  &\tStyle \r\n\r\nFashion & Style\r\n".encode()),
        ("a.json", b'["Fashion & Style"]'),
        ("a.json", b'{"interests": ["Fashion & Style", "Fashion & Style"]}'),
        ("a.json", json.dumps([{PLATFORM: "Fashion & Style"}]).encode()),
    ],
)
def test_forms_of_the_same_list(name, data):
    contents = read(data, name)
    assert contents.lists == {"platform"}
    assert [tuple(entry) for entry in contents.entries] == [("platform", "Fashion & Style")]


def test_the_command_says_what_it_did_in_json(tmp_path, recording):
    path = tmp_path / "interests.json"
    path.write_text('["Fashion"]')
    done = CliRunner().invoke(
        group,
        ["import", "interests", str(path), "--into", str(recording), "--account", "fashion-1",
         "--phase", "after", "--requested", AFTER, "--json"],
    )  # fmt: skip
    value = json.loads(done.output)
    assert value["step"] == "fashion-1/data-requests/after-1" and value["interests"] == 1
