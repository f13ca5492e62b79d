"""Sites on the loopback interface and a browser that knows them, shared by the browser's tests."""

from __future__ import annotations

import pytest
from loopback_sites import Sites, await_silence, be_patient, settings

from echoaudit.errors import Unavailable
from echoaudit.instruments.browser import Browser
from echoaudit.lab import prebid


@pytest.fixture
def unhurried(monkeypatch):
    """Visits with patience for a busy machine."""
    be_patient(monkeypatch)


@pytest.fixture
def unbroken(unhurried, monkeypatch):
    """Visits that end when a page is at rest, not at the first pause of a busy machine."""
    await_silence(monkeypatch)


@pytest.fixture(scope="session")
def sites(tmp_path_factory):
    found = Sites(tmp_path_factory.mktemp("sites"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def browser(sites, tmp_path_factory):
    profile = tmp_path_factory.mktemp("profile")
    with Browser(settings(sites), profile, extra_arguments=sites.arguments) as found:
        yield found


@pytest.fixture(scope="session")
def scripts():
    """Genuine Prebid.js under two global names."""
    try:
        return {name: prebid.bundle(name) for name in ("pbjs", "oddName")}
    except Unavailable as error:
        pytest.skip(str(error))
