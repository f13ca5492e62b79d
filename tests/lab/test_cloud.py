import json
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from cloud_kit import FASHION, WAV, chromium, patient_world, running_cloud, sign_in, visit

from echoaudit.lab.browsers import also_by_view, browsers, with_accounts
from echoaudit.lab.truth import read_log
from echoaudit.lab.world import load_world
from echoaudit.lab.world_model import PREFERENCES

HERE = Path(__file__).parent
OTHER = HERE / "other_world.yaml"
OTHER_SKILLS = (HERE / "other_skills.yaml",)
PAPER = load_world("paper")
VOICE = PAPER.file.platform.voice
STYLE_CHECK = "B01LPS96B4"
FASHION_FACTS = "B01LWX3TFV"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """One paper world for all tests that leave no trace or mind none."""
    with running_cloud("paper", tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(scope="module")
def old_other(tmp_path_factory):
    """One other world, likewise."""
    state = tmp_path_factory.mktemp("state")
    with running_cloud(OTHER, state, ("g-1", "v-1"), OTHER_SKILLS) as running:
        yield running


@pytest.fixture
def other(tmp_path):
    with running_cloud(OTHER, tmp_path / "state", ("g-1", "v-1"), OTHER_SKILLS) as running:
        yield running


@contextmanager
def browser(cloud, account):
    """A cookie-keeping client that is signed in."""
    secret = cloud.accounts[account]
    form = {"email": secret.username, "password": secret.password}
    url = f"https://{load_world(cloud.world).file.platform.shop}/ap/signin"
    with cloud.client() as client:
        client.post(url, data=form, follow_redirects=True).raise_for_status()
        yield client


def load_pixels(client, publisher_host):
    """What a page does before its auction."""
    client.headers["Referer"] = f"https://{publisher_host}/"
    page = client.get(f"https://{publisher_host}/").text
    tag = page.split('<script src="')[1].split('"')[0]
    client.get(tag).raise_for_status()
    settings = json.loads(page.split('id="settings">')[1].split("</script>")[0])
    for pixel in settings["pixels"]:
        answer = client.get(pixel["url"], follow_redirects=True)
        if pixel["load"] == "iframe" and "<img" in answer.text:
            image = answer.text.split('<img src="')[1].split('"')[0].replace("&amp;", "&")
            client.get(image, follow_redirects=True).raise_for_status()


def ask(client, url, page, slots):
    """An auction as the adkernel adapter asks for it: answers by slot."""
    imps = [{"id": f"id-{slot}", "tagid": slot} for slot in slots]
    request = {"id": "r", "imp": imps, "site": {"page": page}}
    answer = client.post(url, content=json.dumps(request)).json()
    bids = answer["seatbid"][0]["bid"] if answer["seatbid"] else []
    return {bid["impid"].removeprefix("id-"): bid["price"] for bid in bids}


# --- the Echo's side --------------------------------------------------------------------------


def test_provision_gives_each_wording_once_without_the_wake_word(cloud):
    account = cloud.accounts["fashion-1"]
    sent = {"serial": account.serial, "token": account.token}
    order = cloud.post(f"https://{VOICE}/v1/provision", json=sent).json()
    phrases = {row["id"]: row["phrase"] for row in order["commands"]}
    assert phrases[f"enable:{STYLE_CHECK}"] == "enable style check"
    assert phrases[f"open:{STYLE_CHECK}"] == "open style check"
    assert phrases[f"say:{STYLE_CHECK}:0"] == "ask style check to dress me in tokyo japan"
    assert phrases["stop"] == "stop"
    assert len(set(phrases.values())) == len(phrases)
    assert {(b["url"], b["every_s"], b["tls"], b["http"]) for b in order["background"]} == {
        ("https://device-metrics-us.amazon.com/metricsBatch", 7.0, "1.2", "1.1"),
        ("https://dcape-na.amazon.com/status", 11.0, "1.2", "1.1"),
    }


def test_a_skill_talks_only_while_it_is_enabled(cloud):
    assert "not enabled" in cloud.say(VOICE, "fashion-1", f"open:{FASHION_FACTS}")["speak"]
    cloud.say(VOICE, "fashion-1", f"enable:{FASHION_FACTS}")
    answer = cloud.say(VOICE, "fashion-1", f"say:{FASHION_FACTS}:0")
    assert "fashion fact" in answer["speak"]
    assert {c["url"] for c in answer["contacts"]} == {
        "https://dts.podtrac.com/redirect.mp3",
        "https://traffic.megaphone.fm/FASHION1.mp3",
    }
    assert "not enabled" in cloud.say(VOICE, "vanilla-1", f"open:{FASHION_FACTS}")["speak"]
    cloud.say(VOICE, "fashion-1", f"disable:{FASHION_FACTS}")
    assert cloud.say(VOICE, "fashion-1", f"open:{FASHION_FACTS}")["contacts"] == []


@pytest.mark.parametrize("command", [None, "", "open:nothing", "explode:B01LPS96B4", "say"])
def test_what_the_platform_does_not_know_has_no_effect(cloud, command):
    answer = cloud.say(VOICE, "fashion-1", command)
    assert (answer["speak"], answer["contacts"]) == ("Sorry, I don't know that one.", [])


def test_stop_is_answered_by_silence(cloud):
    answer = cloud.say(VOICE, "fashion-1", "stop")
    assert (answer["speak"], answer["contacts"], answer["stop"]) == (None, [], True)


@pytest.mark.parametrize(
    ("data", "files", "status"),
    [
        ({"metadata": '{"token": "wrong"}'}, {"audio": ("a.wav", WAV)}, 401),
        ({"metadata": "{"}, {"audio": ("a.wav", WAV)}, 400),
        ({"metadata": "[]"}, {"audio": ("a.wav", WAV)}, 400),
        ({"metadata": '{"token": "wrong"}'}, {"audio": ("a.wav", b"ID3")}, 400),
        ({"metadata": '{"token": "wrong"}'}, {}, 400),
    ],
)
def test_a_wrong_event_is_refused(cloud, data, files, status):
    answer = cloud.post(f"https://{VOICE}/v1/events", data=data, files=files)
    assert answer.status_code == status


def test_contacts_get_as_many_bytes_as_planted_and_are_logged(cloud):
    with cloud.client() as client:
        assert len(client.get("https://traffic.megaphone.fm/FASHION1.mp3").content) == 60_000
        assert client.get("https://traffic.megaphone.fm/else").status_code == 404
    rows = [(r["host"], r["path"], r["status"], r["tls"]) for r in cloud.log("requests")]
    assert ("traffic.megaphone.fm", "/FASHION1.mp3", 200, "1.3") in rows


# --- TLS --------------------------------------------------------------------------------------


def handshake(cloud, name, versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)):
    context = ssl.create_default_context(cafile=str(cloud.state / "ca" / "ca.pem"))
    context.minimum_version, context.maximum_version = versions
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", cloud.port)) as sock,
        context.wrap_socket(sock, server_hostname=name) as tls,
    ):
        return tls.selected_alpn_protocol(), tls.getpeercert()["subjectAltName"]


def test_each_name_shows_its_own_certificate_and_http_version(cloud):
    assert handshake(cloud, "www.amazon.com") == ("h2", (("DNS", "www.amazon.com"),))
    assert handshake(cloud, "dts.podtrac.com") == ("http/1.1", (("DNS", "dts.podtrac.com"),))


def test_a_name_outside_the_world_gets_no_connection(cloud):
    with pytest.raises(ssl.SSLError):
        handshake(cloud, "www.python.org")


def test_a_taken_port_ends_in_one_line(cloud):
    command = [sys.executable, "-m", "echoaudit.lab.cloud", "--world", "paper", "--accounts"]
    command += [
        cloud.state / "accounts.json",
        "--state",
        cloud.state,
        "--loopback",
        str(cloud.port),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"cloud: 127.0.0.1:{cloud.port}: Address already in use; fix:")
    assert ended.stderr.count("\n") == 1


def test_on_its_own_addresses_each_host_speaks_only_its_tls_version(tmp_path):
    """The whole address plan, in a network namespace that dies with the test."""
    script = HERE / "address_probe.py"
    command = ["unshare", "-Urn", "--kill-child", "-pf", sys.executable, script, tmp_path]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert ended.returncode == 0, ended.stderr
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {row["host"] for row in rows} == {host.name for host in load_world("traps").hosts()}
    assert [row for row in rows if row["found"] != row["planted"]] == []


# --- browsers, syncs, bids --------------------------------------------------------------------


def test_wrong_password_is_refused_without_a_cookie(cloud):
    with cloud.client() as client:
        form = {"email": cloud.accounts["fashion-1"].username, "password": "no"}
        answer = client.post("https://www.amazon.com/ap/signin", data=form)
        assert answer.status_code == 401
        assert "at-main" not in client.cookies


def test_a_page_sets_off_exactly_the_planted_syncs(other):
    with browser(other, "g-1") as client:
        load_pixels(client, "hedge.example.com")
    found = {(row["from_domain"], row["to_domain"]) for row in other.log("syncs")}
    assert found == load_world(OTHER).syncs()
    assert {row["account"] for row in other.log("syncs")} == {"g-1"}


def test_identifiers_are_lasting_and_differ_between_browsers(old_other):
    cookies = []
    for account in ("g-1", "v-1"):
        with browser(old_other, account) as client:
            load_pixels(client, "hedge.example.com")
            before = dict(client.cookies)
            load_pixels(client, "hedge.example.com")
            assert before == dict(client.cookies)
            cookies.append(before)
    names = {"bean", "t", "r", "c", "feather"}
    assert names <= set(cookies[0])
    assert all(cookies[0][name] != cookies[1][name] for name in names)


def prices(client, cloud, host):
    page = "https://hedge.example.com/"
    return ask(client, f"https://{host}/hb?zone=1", page, ["a", "b"])


def test_only_the_synced_partner_pays_more_and_only_after_the_words(other):
    with browser(other, "g-1") as gardener, browser(other, "v-1") as control:
        for client in (gardener, control):
            load_pixels(client, "hedge.example.com")
        prices(gardener, other, "bid.beanstalk.com")
        other.say("ear.parrot-cloud.net", "g-1", "enable:B0GARDEN01")
        other.say("ear.parrot-cloud.net", "g-1", "open:B0GARDEN01")
        for client in (gardener, control):
            prices(client, other, "bid.beanstalk.com")
            prices(client, other, "hb.trellis.co.uk")
    lifts = [
        (b["account"], b["bidder"], b["lift"]) for b in other.log("bids") if b["answer"] == "bid"
    ]
    assert lifts[:2] == [("g-1", "beanstalkHb", 1.0)] * 2
    assert set(lifts[2:]) == {
        ("g-1", "beanstalkHb", 3.0),
        ("g-1", "trellisHb", 1.0),
        ("v-1", "beanstalkHb", 1.0),
        ("v-1", "trellisHb", 1.0),
    }


def test_without_the_sync_a_partner_does_not_know(other):
    other.say("ear.parrot-cloud.net", "g-1", "enable:B0GARDEN01")
    other.say("ear.parrot-cloud.net", "g-1", "open:B0GARDEN01")
    with browser(other, "g-1") as client:
        prices(client, other, "bid.beanstalk.com")
    assert {(b["account"], b["lift"]) for b in other.log("bids")} == {(None, 1.0)}


@pytest.mark.parametrize(("wish", "lift"), [("honoured", 1.0), ("ignored", 3.0)])
def test_an_opt_out_is_honoured_or_ignored_as_the_world_says(tmp_path, wish, lift):
    world = tmp_path / "wish.yaml"
    text = OTHER.read_text()
    world.write_text(text.replace("  session_cookie:", f"  opt_out: {wish}\n  session_cookie:"))
    with (
        running_cloud(world, tmp_path / "state", ("g-1",), OTHER_SKILLS) as cloud,
        browser(cloud, "g-1") as client,
    ):
        page = f"https://shop.parrot.org{PREFERENCES}"
        assert 'id="opted-out"' not in client.get(page).text
        assert 'id="opted-out"' in client.post(page).text
        load_pixels(client, "hedge.example.com")
        cloud.say("ear.parrot-cloud.net", "g-1", "enable:B0GARDEN01")
        cloud.say("ear.parrot-cloud.net", "g-1", "open:B0GARDEN01")
        prices(client, cloud, "bid.beanstalk.com")
        assert {(b["account"], b["lift"]) for b in cloud.log("bids")} == {("g-1", lift)}


def test_visits_to_a_topic_raise_prices_of_a_browser_without_an_account(tmp_path):
    world = tmp_path / "topic.yaml"
    topic = (
        "  - {site: roots, host: roots.example.com, title: Roots, topic: garden, "
        "interest: Gardening, variable: rootBids, "
        "slots: [{slot: a, size: [300, 250]}], bidders: [beanstalkHb, trellisHb]}\nads:\n"
    )
    hosts = "hosts: [{host: hedge.example.com}, {host: roots.example.com}]"
    text = OTHER.read_text().replace("hosts: [{host: hedge.example.com}]", hosts)
    world.write_text(text.replace("ads:\n  - {ad", topic + "  - {ad"))
    with running_cloud(world, tmp_path / "state", ("g-1",), OTHER_SKILLS) as cloud:
        held = []
        for account, sites in (("web-1", ["hedge", "roots"]), ("plain-1", ["hedge"])):
            with cloud.client() as client:
                for site in sites:
                    load_pixels(client, f"{site}.example.com")
                    prices(client, cloud, "bid.beanstalk.com")
                held += [(account, cookie.value) for cookie in client.cookies.jar]
        bids, syncs = cloud.log("bids"), cloud.log("syncs")
    assert {row["account"] for row in bids + syncs} == {None}
    known = browsers(held)
    assert [(row["account"], row["lift"]) for row in with_accounts(bids, known)] == [
        *[("web-1", 1.0)] * 2,
        *[("web-1", 3.0)] * 2,
        *[("plain-1", 1.0)] * 2,
    ]
    whose = [(row["account"], row["from_domain"]) for row in with_accounts(syncs, known)]
    assert {account for account, _ in whose} == {"web-1", "plain-1"}
    # Identifiers that a browser lost again are its own by what else it showed in the same view.
    kept = {value: who for value, who in known.items() if value != syncs[0]["browser"]}
    again = with_accounts(syncs, also_by_view(kept, syncs))
    assert [(row["account"], row["from_domain"]) for row in again] == whose


def test_the_same_seed_gives_the_same_prices_on_a_fresh_start(tmp_path):
    def run(state):
        with (
            running_cloud(OTHER, state, ("g-1",), OTHER_SKILLS) as cloud,
            browser(cloud, "g-1") as client,
        ):
            load_pixels(client, "hedge.example.com")
            return [prices(client, cloud, "bid.beanstalk.com") for _ in range(3)]

    first = run(tmp_path / "1")
    assert first == run(tmp_path / "2")
    assert first[0] != first[1]


def test_killed_and_started_again_everything_goes_on(other):
    with browser(other, "g-1") as client:
        load_pixels(client, "hedge.example.com")
        other.say("ear.parrot-cloud.net", "g-1", "enable:B0GARDEN01")
        other.say("ear.parrot-cloud.net", "g-1", "open:B0GARDEN01")
        first = prices(client, other, "bid.beanstalk.com")
        other.kill()
        other.start()
        second = prices(client, other, "bid.beanstalk.com")
        assert client.get("https://shop.parrot.org/").text.count("you are signed in") == 1
    bids = other.log("bids")
    assert [b["turn"] for b in bids] == [0, 0, 1, 1]
    assert {(b["account"], b["lift"]) for b in bids} == {("g-1", 3.0)}
    assert [round(b["cpm"], 4) for b in bids] == [*first.values(), *second.values()]
    answer = other.say("ear.parrot-cloud.net", "g-1", "say:B0GARDEN01:0")
    assert answer["speak"] == "Compost Corner here. Turn the left heap."


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"imp": 5}', b"[" * 100_000])
def test_a_request_no_adapter_makes_is_refused(old_other, body):
    answer = old_other.post("https://bid.beanstalk.com/hb", content=body)
    assert answer.status_code == 400


def test_plain_chains_cannot_be_talked_into_a_loop(old_other):
    with old_other.client() as client:
        for query in (
            "c=nobody&n=1",
            "c=beanstalk&n=99",
            "c=beanstalk&n=-1",
            "n=x",
            "c=trellis&n=1",
        ):
            answer = client.get(f"https://id.rake.de/usersync/match?{query}", follow_redirects=True)
            assert answer.status_code == 200
    assert all(row["from_domain"] != "trellis.co.uk" for row in old_other.log("syncs"))


# --- in a genuine browser ---------------------------------------------------------------------


def pages(world):
    return [p for p in world.file.publishers if p.topic is None]


def crawl(driver, world):
    return {p.site: visit(driver, f"https://{p.host}/", p.variable) for p in pages(world)}


def answers(visits):
    """(bidder, slot, id, price or None) as the pages saw them."""
    bids = {
        (b["bidder"], b["slot"], b["request"], round(b["cpm"], 4))
        for page in visits
        for b in page["bids"]
    }
    return bids | {(b, slot, i, None) for page in visits for b, slot, i in page["noBids"]}


def logged(state):
    return {
        (b["bidder"], b["slot"], b["request"], b["cpm"] if b["answer"] == "bid" else None)
        for b in read_log(state, "bids")
    }


def mean_lifts(state, account, since):
    found = {}
    for row in read_log(state, "bids"):
        if row["account"] == account and row["time"] > since and row["answer"] == "bid":
            found.setdefault(row["bidder"], set()).add(row["lift"])
    return found


@pytest.mark.web
@pytest.mark.parametrize(
    ("name", "account", "voice", "skill", "lifts"),
    [
        ("paper", "fashion-1", VOICE, STYLE_CHECK,
         {"appnexus": {2.4}, "rubicon": {2.5}, "ix": {1.0}, "openx": {2.2}, "pubmatic": {2.6}}),
        ("null", "fashion-1", VOICE, STYLE_CHECK,
         {b: {1.0} for b in ("appnexus", "rubicon", "ix", "openx", "pubmatic")}),
        (OTHER, "g-1", "ear.parrot-cloud.net", "B0GARDEN01",
         {"beanstalkHb": {3.0}, "trellisHb": {1.0}, "ix": {1.0}}),
    ],
    ids=["paper", "null", "other"],
)  # fmt: skip
def test_chromium_sees_every_bid_and_words_raise_prices(
    tmp_path, name, account, voice, skill, lifts
):
    file = patient_world(name, tmp_path / "worlds")
    world = load_world(file)
    catalogues = OTHER_SKILLS if name == OTHER else (FASHION,)
    with (
        running_cloud(file, tmp_path / "state", (account, "vanilla-1"), catalogues) as cloud,
        chromium(cloud, tmp_path / "one") as treated,
        chromium(cloud, tmp_path / "two") as control,
    ):
        for driver, who in ((treated, account), (control, "vanilla-1")):
            sign_in(driver, cloud, world.file.platform.shop, who)
        visits = [*crawl(treated, world).values(), *crawl(control, world).values()]
        assert mean_lifts(cloud.state, account, 0) == {b: {1.0} for b in lifts}
        cloud.say(voice, account, f"enable:{skill}")
        cloud.say(voice, account, f"open:{skill}")
        spoken = time.time()
        visits += [*crawl(treated, world).values(), *crawl(control, world).values()]
        assert answers(visits) == logged(cloud.state)
        assert mean_lifts(cloud.state, account, spoken) == lifts
        assert mean_lifts(cloud.state, "vanilla-1", spoken) == {b: {1.0} for b in lifts}
        assert all(v["frames"] == len(p.slots) for p, v in zip(pages(world), visits, strict=False))
        assert {b["currency"] for v in visits for b in v["bids"]} == {"USD"}
        assert all(b["domains"] for v in visits for b in v["bids"])
        severe = [
            e for d in (treated, control) for e in d.get_log("browser") if e["level"] == "SEVERE"
        ]
        assert severe == []
    assert {
        (r["from_domain"], r["to_domain"]) for r in read_log(cloud.state, "syncs")
    } == world.syncs()
    assert {r["account"] for r in read_log(cloud.state, "syncs")} == {account, "vanilla-1"}
    assert {(r["kind"], r["host"]) for r in read_log(cloud.state, "auctions")} == {
        (one.kind, one.host) for publisher in pages(world) for one in publisher.auctions
    }


@pytest.mark.web
def test_a_late_bidder_times_out_in_the_page(tmp_path):
    late = OTHER.read_text().replace(
        "party: casale, bid_rate", "party: casale, late_rate: 1, bid_rate"
    )
    path = tmp_path / "late.yaml"
    path.write_text(late)
    with (
        running_cloud(path, tmp_path / "state", ("g-1",), OTHER_SKILLS) as cloud,
        chromium(cloud, tmp_path / "one") as driver,
    ):
        page = visit(driver, "https://hedge.example.com/", "hedgeBids")
        assert {b["bidder"] for b in page["bids"]} <= {"beanstalkHb", "trellisHb"}
        assert {b["answer"] for b in cloud.log("bids") if b["bidder"] == "ix"} == {"late"}
