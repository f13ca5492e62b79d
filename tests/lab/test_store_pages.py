"""Skills of the lab's store: enabled by the instrument's browser, read by ``skills import``."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from cloud_kit import FASHION, key_hash, running_cloud

from echoaudit.instruments.browser import Browser, BrowserCrashed
from echoaudit.instruments.browser.acting import wait_until
from echoaudit.instruments.browser.signin import _fill_in
from echoaudit.lab.world import find_world, load_world
from echoaudit.lab.world_settings import overlay
from echoaudit.runner.enabling import StoreVisits
from echoaudit.skills import import_skills
from echoaudit.study import load_catalogue
from echoaudit.study.models import BrowserSettings, SignIn, StorePage

pytestmark = pytest.mark.web

SHOP = load_world("paper").file.platform.shop
SKILLS = load_catalogue(FASHION).skills
PLAIN = next(skill for skill in SKILLS if not skill.permissions)
ASKING = PLAIN.model_copy(update={"id": "B0ASKS", "permissions": ("Device Address", "Email")})
SHUT = PLAIN.model_copy(update={"id": "B0SHUT"})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """The paper world, with one more skill that asks for leave and one that is refused."""
    folder = tmp_path_factory.mktemp("world")
    catalogue = folder / "more.yaml"
    catalogue.write_text(
        "catalogue: more\ninterest: Fashion & Style\nsource: {kind: made up, date: 2024-01-01}\n"
        "skills:\n"
        + "".join(
            f"  - {{id: {skill.id}, name: {name}, invocation: {name.lower()}, vendor: Some & Co,\n"
            f"      utterances: ['Alexa, {name}.'], permissions: {json.dumps(skill.permissions)},\n"
            "      policy_url: 'https://vendor.example/privacy'}\n"
            for skill, name in ((ASKING, "Asker"), (SHUT, "Shut"))
        )
    )
    paper = find_world("paper").read_text(encoding="utf-8")
    world = folder / "shut.yaml"
    world.write_text(paper.replace("platform:\n", "platform:\n  unavailable: [B0SHUT]\n", 1))
    with running_cloud(world, folder / "state", catalogues=(FASHION, catalogue)) as running:
        yield running


@pytest.fixture(scope="module")
def store(cloud):
    settings = overlay(load_world(cloud.world), cloud.state)["store"]
    return StorePage.model_validate(settings)


def browser_of(cloud, profile):
    settings = BrowserSettings(
        trusted_authority=cloud.state / "ca" / "ca.pem", page_timeout=60.0, settle=2.0
    )
    rules = f"MAP *:443 127.0.0.1:{cloud.port},EXCLUDE 127.0.0.1,MAP * ~NOTFOUND"
    extra = [
        f"--host-resolver-rules={rules}",
        f"--ignore-certificate-errors-spki-list={key_hash(cloud.state / 'ca' / 'ca.pem')}",
    ]
    return Browser(settings, profile, extra_arguments=extra)


@pytest.fixture(scope="module")
def profile(cloud, tmp_path_factory):
    """A profile that fashion-1 is signed in with."""
    folder = tmp_path_factory.mktemp("profiles") / "fashion-1"
    form = SignIn.model_validate(
        overlay(load_world(cloud.world), cloud.state)["sign_in"], strict=False
    )
    secret = cloud.accounts["fashion-1"]
    with browser_of(cloud, folder) as browser:
        assert browser.sign_in(form, secret.username, secret.password).state == "complete"
    return folder


def test_a_skill_is_enabled_before_and_disabled_after_its_conversation(
    cloud, store, profile, tmp_path
):
    voice = load_world("paper").file.platform.voice
    visits = StoreVisits(store, lambda: browser_of(cloud, profile), 2, tmp_path)
    with visits.around(ASKING):
        reply = cloud.say(voice, "fashion-1", f"open:{ASKING.id}")["speak"]
        assert "not enabled" not in reply
        kept = json.loads((tmp_path / "store.json").read_text())
        assert [one["state"] for one in kept] == ["enabled"], "kept before anything may go wrong"
    assert "not enabled" in cloud.say(voice, "fashion-1", f"open:{ASKING.id}")["speak"]
    assert [(one.action, one.state) for one in visits.done] == [
        ("enable", "enabled"),
        ("disable", "disabled"),
    ]
    assert all((tmp_path / str(one.picture)).stat().st_size > 1000 for one in visits.done)
    assert visits.failure is None
    assert [(row["account"], row["do"]) for row in cloud.log("store")] == [
        ("fashion-1", "accept"),
        ("fashion-1", "disable"),
    ]


def test_what_stands_in_the_way_is_told(cloud, store, profile, tmp_path):
    with browser_of(cloud, profile) as browser:

        def state(skill, action, page=store):
            found = browser.enabling(page, skill, action, tmp_path / f"{skill}-{action}.png")
            return found.state, found.reason

        assert state(PLAIN.id, "disable") == ("already disabled", None)
        assert state(PLAIN.id, "enable") == ("enabled", None)
        assert state(PLAIN.id, "enable") == ("already enabled", None)
        assert state("B0NOWHERE", "enable") == ("not found", "the store answered with status 404")
        assert state(SHUT.id, "enable") == ("refused", "This skill is not available to you.")
        deaf = store.model_copy(update={"refused": None})
        running = browser._session()
        patient = running.settings
        running.settings = patient.model_copy(update={"page_timeout": 3.0})
        assert state(SHUT.id, "enable", deaf)[0] == "timeout"
        running.settings = patient
        nowhere = store.model_copy(update={"url": f"https://{SHOP}/?skill={{id}}"})
        assert state(PLAIN.id, "enable", nowhere)[0] == "failed"
    visits = StoreVisits(store, lambda: browser_of(cloud, tmp_path / "stranger"), 1, tmp_path)
    with visits.around(PLAIN):
        pass
    assert [one.state for one in visits.done] == ["failed", "failed"]
    assert "is the account signed in?" in str(visits.failure)


LEAVE = "window.old = true"
ANEW = "return !window.old && document.readyState === 'complete'"
"""Whether the page was loaded since."""


def test_a_person_who_signs_in_is_waited_for(cloud, tmp_path):
    form = SignIn.model_validate(
        overlay(load_world(cloud.world), cloud.state)["sign_in"], strict=False
    )
    secret = cloud.accounts["vanilla-1"]
    with browser_of(cloud, tmp_path / "vanilla-1") as browser, ThreadPoolExecutor(1) as pool:
        assert browser.await_sign_in(form, 0.2).state == "failed"
        driver = browser._session().driver
        driver.execute_script(LEAVE)
        waiting = pool.submit(browser.await_sign_in, form, 120.0)
        assert wait_until(lambda: driver.execute_script(ANEW), 60)
        # The person: the same page, another hand.
        _fill_in(driver, form, secret.username, secret.password)
        assert waiting.result(180).state == "complete"
        assert browser.await_sign_in(form, 0.2).reason == "was signed in already"
        elsewhere = form.model_copy(update={"signed_in_cookie": "none"})
        driver.execute_script(LEAVE)
        waiting = pool.submit(browser.await_sign_in, elsewhere, 120.0)
        assert wait_until(lambda: driver.execute_script(ANEW), 60)
        browser._session().devtools.call("Browser.close")
        with pytest.raises(BrowserCrashed):
            waiting.result(180)


def test_saved_pages_become_the_skills_that_they_show(cloud, tmp_path):
    with cloud.client() as client:
        for skill in (PLAIN.id, ASKING.id):
            page = client.get(f"https://{SHOP}/dp/{skill}")
            (tmp_path / f"{skill}.html").write_bytes(page.content)
    found = {skill.id: skill for skill in import_skills([tmp_path]).skills}
    assert found[PLAIN.id].model_copy(update={"answers": PLAIN.answers}) == PLAIN
    asking = found[ASKING.id]
    assert (asking.name, asking.vendor, asking.permissions) == (
        "Asker",
        "Some & Co",
        ("Device Address", "Email"),
    )
    assert asking.policy_url == "https://vendor.example/privacy"
