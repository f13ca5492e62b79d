import json
import subprocess

import pytest

from echoaudit import npm
from echoaudit.errors import Unavailable
from echoaudit.lab import prebid


def test_dependencies_come_after_the_core_and_before_the_modules_once():
    names = [f"{name}.js" for name in (prebid.CORE, *prebid.MODULES)]
    chunks = {name: f"/*{name}*/" for name in [*names, "shared.js", "more.js"]}
    needs = {"prebid-core.js": ["shared.js"], "ixBidAdapter.js": ["more.js", "shared.js"]}
    text = prebid.build({**chunks, "dependencies.json": json.dumps(needs)})
    places = [text.index(f"/*{name}*/") for name in [names[0], "shared.js", "more.js", names[1]]]
    assert places == sorted(places)
    assert text.count("/*shared.js*/") == 1


def test_another_archive_than_the_pinned_one_is_refused():
    with pytest.raises(Unavailable, match=r"another prebid\.js"):
        npm.verify(prebid.PACKAGE, b"not the package")


def test_missing_npm_ends_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prebid, "bundle_path", lambda: tmp_path / "prebid.js")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prebid.main() == 3
    assert capsys.readouterr().err == ("setup: npm is not installed; fix: apt-get install npm\n")
    assert list(tmp_path.iterdir()) == []


def test_unreachable_registry_ends_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prebid, "bundle_path", lambda: tmp_path / "prebid.js")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\necho more >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert prebid.main() == 3
    error = capsys.readouterr().err
    assert "ENOTFOUND" in error
    assert error.count("\n") == 1


def test_bundle_of_an_older_version_is_not_used(tmp_path, monkeypatch):
    path = tmp_path / "prebid.js"
    path.write_text("/* Prebid.js 1.0.0: nothing */\n")
    monkeypatch.setattr(prebid, "bundle_path", lambda: path)
    with pytest.raises(Unavailable, match=r"python -m echoaudit\.lab\.prebid"):
        prebid.bundle()


def test_bundle_is_a_script_that_names_its_variable(tmp_path):
    script = tmp_path / "prebid.js"
    script.write_text(prebid.bundle("bidsHere"))
    subprocess.run(["node", "--check", script], check=True)
    assert 'pbGlobal:"bidsHere"' in script.read_text()
    assert 'pbGlobal:"pbjs"' not in script.read_text()
