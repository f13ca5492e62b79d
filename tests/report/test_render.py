"""The page is one harmless, complete, readable file, whatever a recording contains."""

import re
import xml.etree.ElementTree as ET
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest
from simulate import CLAIM, ENABLING, poisoned, poisoned_table, simulate

from echoaudit.findings.partner_bids import partners_table
from echoaudit.findings.sync_graph import graph_table
from echoaudit.inference import conclude_all
from echoaudit.report import render, warnings
from echoaudit.report.figures import forest
from echoaudit.report.gateway import policies_table
from echoaudit.study.models import Claim

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = (
    '<script>alert("x")</script>',
    "\"><img src=x onerror='alert(1)'>",
    "javascript:alert(1)",
    "'; background: url(https://evil.example/x); '",
    "</svg></style></title><h1>injected</h1>",
    "{{ 7 * 191 }}{% include 'x' %}",
    "safe\u202efdp.exe\u2066\u200f",
    "null\x00bell\x07escape\x1b[31m",
    "lone \ud800 surrogate",
    "&lt;already&amp;escaped&gt;",
)


@cache
def usual():
    """The study that most pages here show."""
    info, tables, provenance = simulate((CLAIM,))
    return info, tables, provenance, conclude_all((CLAIM,), tables)


def page(claims=(CLAIM,), change=None, methods=(), **design):
    if claims == (CLAIM,) and not design:
        info, tables, provenance, conclusions = usual()
    else:
        info, tables, provenance = simulate(claims, **design)
        conclusions = conclude_all(claims, tables)
    if change:
        info, tables = change(info, tables)
    return render(info, tables, conclusions, provenance, methods)


def test_each_effects_name_is_whole_beside_its_numbers():
    _, tables, _, _ = usual()
    claims = [CLAIM.model_copy(update={"claim": name, "measure": name}) for name in forest.MEASURES
              if name != "count"]  # fmt: skip
    figure = forest.forest(conclude_all(claims, tables), {"fashion": "p1", "vanilla": "pc"})
    root = ET.fromstring(str(figure.drawing))
    words = {
        kind: ["".join(one.itertext()) for one in root.iter() if kind in one.get("class", "")]
        for kind in ("label", "value")
    }
    assert words["label"] == [f"fashion / vanilla: {forest.MEASURES[c.measure]}" for c in claims]
    width = float(root.get("viewBox").split()[2])
    for label, numbers in zip(words["label"], words["value"], strict=True):
        assert 7.5 * (len(label) + len(numbers)) < width, "at the width of a letter"


def test_skills_that_the_store_did_not_enable_are_told():
    row = {
        "session": "fashion-1/sessions/01-x", "account": "fashion-1", "persona": "fashion",
        "skill": "B01", "url": "https://store.example/dp/B01", "picture": "", "started": 1.0,
        "ended": 2.0,
    }  # fmt: skip
    came = [
        ("enable", 1, "timeout", False, "no answer"),
        ("enable", 2, "refused", False, HOSTILE[0]),
        ("disable", 1, "already disabled", True, ""),
    ]
    names = ("action", "attempt", "state", "done", "reason")

    def change(info, tables):
        rows = [row | dict(zip(names, one, strict=True)) for one in came]
        return info, tables | {"enabling": ENABLING.conform(rows)}

    text = page(change=change)
    assert "did not enable the skill in 1 session (1 refused)" in text
    assert "already disabled" in text
    assert HOSTILE[0] not in text
    assert "Skills were not enabled" not in page()


class Reader(HTMLParser):
    """Elements in order with their attributes and text; fails on elements left open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def paper():
    return page(lifts={"fashion": 1.9})


def test_auctions_that_no_script_sees_are_told_with_whom_the_pages_asked(paper):
    section = paper.partition('<section id="web-contacts"')[2].partition("</section>")[0]
    assert "On 9 visits the pages asked 1 third party." in section
    assert "Auctions whose bids no script sees were begun with Amazon\u2019s tag on 9" in section
    assert "amazon-adsystem.com" in section
    rows = [Reader(row).text for row in re.findall(r"<tr>.*?</tr>", section, re.S)]
    assert (
        "domain organisation accounts cookies set by answers by scripts by whom unknown four "
        "weeks or longer" in rows
    )
    assert "amazon-adsystem.com Amazon 9 18 9 9 0 9" in rows


def test_how_far_identifiers_travel_is_told_and_who_cannot_be_observed(paper):
    section = paper.partition('<section id="syncs"')[2].partition("</section>")[0]
    rows = [Reader(row).text for row in re.findall(r"<tr>.*?</tr>", section, re.S)]
    assert "partners 4 4 exchange identifiers with the platform" in rows
    assert "downstream, 2 steps away 5 0 are sent identifiers by a partner" in rows
    assert any(row.startswith("not observable 1 1 asked for bids") for row in rows)
    assert "pubmatic.example – not observable – – 0 0 0 pubmatic" in rows


def test_offers_of_partners_stand_beside_those_of_others_for_each_persona(paper):
    _, tables, _, _ = usual()
    section = paper.partition('<section id="syncs"')[2].partition("</section>")[0]
    beside = section.partition("<caption>Median bid by where")[2].partition("</table>")[0]
    text = Reader(f"<table><caption>{beside}</table>").text
    assert "persona phase partners not observable" in text
    bids = tables["bids"]
    for partner in (True, False):
        mine = bids[(bids["bidder"] != "pubmatic") == partner]
        mine = mine[(mine["persona"] == "vanilla") & (mine["phase"] == "after")]
        offered = mine["cpm_usd"].dropna()
        assert f"${offered.median():.3f} ({len(offered):,})" in text
    assert "This describes and tests nothing" in section


def test_without_exchanges_it_is_still_told_whose_knowledge_cannot_be_observed():
    def change(info, tables):
        none = tables["syncs"].iloc[:0]
        graph = graph_table(none, tables["bids"])
        offers = partners_table(tables["bids"], graph)
        return info, tables | {"syncs": none, "sync_graph": graph, "partner_bids": offers}

    section = page(change=change).partition('<section id="syncs"')[2].partition("</section>")[0]
    text = Reader(f"<section>{section.partition('>')[2]}</section>").text
    assert "No identifier of one party was seen" in text
    assert "not observable 5 5 asked for bids" in text


def test_sections_come_in_the_order_a_reader_asks(paper):
    reader = Reader(paper)
    assert [a["id"] for a in reader.all("section")] == [
        "verdicts", "coverage", "bids", "checks", "speech", "endpoints", "shares", "data", "syncs",
        "web-contacts", "ads", "interests", "density", "method", "limits", "versions",
    ]  # fmt: skip
    assert {a["href"][1:] for a in reader.all("a") if a["href"] != "#verdicts"} | {"verdicts"} == {
        a["id"] for a in reader.all("section")
    }


def test_the_verdict_carries_all_that_it_rests_on(paper):
    text = Reader(paper).text
    assert "supported claim fashion-above-vanilla" in text
    for words in ("95 % interval", "smallest possible p", "detectable", "3 + 6"):
        assert words in text
    assert "label permutation" in text and "fashion compared with vanilla" in text


def test_nothing_runs_and_nothing_is_fetched(paper):
    reader = Reader(paper)
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "form", "image", "use"}
    policy = next(a["content"] for a in reader.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    for _, attributes in reader.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert all(attributes[n].startswith("#") for n in ("href", "src") if n in attributes)
    style = re.search(r"<style>(.*?)</style>", paper, re.S)[1]
    assert "url(" not in style and "@import" not in style


def test_the_page_is_usable_without_eyes(paper):
    reader = Reader(paper)
    ids = [a["id"] for _, a in reader.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in reader.elements if "aria-labelledby" in a} <= set(ids)
    assert all(a.get("aria-label") for a in reader.all("svg") if a.get("role") == "img")
    assert all("scope" in a for a in reader.all("th"))
    assert len(reader.all("caption")) == len(reader.all("table"))
    assert len(reader.all("main")) == len(reader.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_every_figure_has_a_finding_a_description_and_its_data(paper):
    figures = re.findall(r"<figure.*?</figure>", paper, re.S)
    assert len(figures) == 6
    for figure in figures:
        reader = Reader(figure)
        assert len(reader.all("h3")) == len(reader.all("figcaption")) == 1
        assert len(reader.all("details")) == len(reader.all("table")) == 1


def test_the_published_studys_test_stands_beside_the_conclusion_when_asked_for(paper):
    text = Reader(page(lifts={"fashion": 1.9}, methods=("imc2023",))).text
    assert "As the published study tested it" in text and "fashion / vanilla" in text
    assert "takes every bid for an independent observation" in text
    assert "As the published study tested it" not in Reader(paper).text


def test_equal_findings_give_equal_bytes(paper):
    assert page(lifts={"fashion": 1.9}) == paper


def test_row_order_of_tables_does_not_show(paper):
    def shuffle(info, tables):
        return info, {n: t.sample(frac=1, random_state=1) for n, t in tables.items()}

    assert page(lifts={"fashion": 1.9}, change=shuffle) == paper


def test_many_personas_stay_below_two_megabytes():
    personas = {f"persona-{i}": 3 for i in range(9)} | {"vanilla": 6}
    claims = [
        Claim(claim=f"c-{p}", treated=p, control="vanilla") for p in personas if p != "vanilla"
    ]
    text = page(claims, personas=personas)
    assert len(text.encode()) < 2_000_000
    assert "9 claims" in Reader(text).text


def test_silent_echos_are_said_aloud():
    info, tables, provenance = simulate([CLAIM], answered=False)
    conclusions = conclude_all([CLAIM], tables)
    (warning,) = warnings(tables, conclusions)
    assert warning.startswith("The Echos of fashion never woke")
    text = Reader(render(info, tables, conclusions, provenance)).text
    assert "never woke" in text and "insufficient" in text
    assert text.index("never woke") < text.index("insufficient")


def test_sentences_that_another_skill_answered_are_said_aloud_and_left_out_by_rule_only():
    for exclude, kept in (((), True), (("confounded",), False)):
        info, tables, provenance = simulate([CLAIM], confounded=1, exclude=exclude)
        conclusions = conclude_all([CLAIM], tables)
        (warning,) = warnings(tables, conclusions)
        assert warning.startswith("Another skill answered: 1 sentence in 1 session")
        text = render(info, tables, conclusions, provenance)
        assert "1 answered by another skill" in text
        assert "answered by the skill meant (11) and another skill (1)" in Reader(text).text
        contacts = text.partition('<section id="endpoints"')[2].partition("</section>")[0]
        volume = contacts.partition("Each session’s skill")[2]
        assert ("3</td>" in volume.partition("Outfit Check")[2].partition("</tr>")[0]) is kept


def test_lost_packets_and_nameless_traffic_are_said_aloud():
    _, tables, _ = simulate([CLAIM])
    captures = tables["captures"].assign(dropped=3, named_bytes=10)
    found = warnings({**tables, "captures": captures}, conclude_all([CLAIM], tables))
    assert [w.split(":")[0] for w in found] == ["Packets were lost", "Most traffic is nameless"]


def test_what_the_gateway_dropped_is_told_with_the_policy_in_force():
    info, tables, provenance = simulate([CLAIM])
    conclusions = conclude_all([CLAIM], tables)
    captures = tables["captures"]
    own = captures[captures["account"] == "fashion-1"]
    found = policies_table(captures)
    accounts = captures["account"].nunique()
    quic, dot = "QUIC (UDP to port 443)", "DNS over TLS (port 853)"
    assert [row for row in found.rows if row[0] != "DNS over HTTPS with known resolvers"] == [
        (quic, "dropped", "fashion-1", f"{len(own)} / {len(own)}", f"{4 * len(own)}"),
        (dot, "dropped", f"none of {accounts} accounts", f"0 / {len(captures)}", "0"),
        ("DNS to other resolvers", "answered by the gateway", f"none of {accounts} accounts",
         f"0 / {len(captures)}", "0"),
    ]  # fmt: skip
    assert len(found.rows) == 3 + accounts
    assert found.caption in Reader(render(info, tables, conclusions, provenance)).text
    unknown = {name: None for name in captures if name.endswith("_policy")}
    assert policies_table(captures.assign(redirected_dns=None, **unknown)) is None


def test_look_ups_that_nobody_could_read_are_said():
    info, tables, provenance = simulate([CLAIM])
    hidden = "names hidden by DNS over HTTPS: 2; names hidden by Encrypted ClientHello: 9"
    captures = tables["captures"].assign(problem=hidden)
    conclusions = conclude_all([CLAIM], tables)
    text = Reader(render(info, {**tables, "captures": captures}, conclusions, provenance)).text
    number = len(captures)
    assert f"in {number} sessions: {2 * number} by DNS over HTTPS. Hosts looked up there" in text
    assert "out of sight" not in Reader(render(info, tables, conclusions, provenance)).text


def test_names_that_the_gateway_asked_for_say_so():
    info, tables, provenance = simulate([CLAIM])
    conclusions = conclude_all([CLAIM], tables)
    endpoints = tables["endpoints"].assign(witness="probe")
    text = Reader(render(info, {**tables, "endpoints": endpoints}, conclusions, provenance)).text
    assert "Named by probe (its certificate): what the server said of itself" in text
    assert "Named by probe" not in Reader(render(info, tables, conclusions, provenance)).text


def test_who_receives_voice_and_words_is_a_table_of_its_own(paper):
    data = paper.partition('<section id="data"')[2].partition("</section>")[0]
    voice = data.partition("Who receives voice recordings")[2].partition("</table>")[0]
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in voice.split("<tr>")[2:]]
    assert [(row[0], row[3:7]) for row in rows] == [
        ("Platform", ["12", "sessions", "12", "sessions"]),
        ("Runway", ["–", "12", "sessions", "fashion"]),
    ]
    assert "Decrypted: 135 exchanges of 3 of 9 devices" in data
    assert "Podstats" in data.partition("Kinds of data by receiver")[2]


def test_undecrypted_devices_are_unknown_and_not_clean():
    def sealed(info, tables):
        decrypted = tables["decrypted"].assign(status="sealed", exchanges=0)
        return info, {**tables, "decrypted": decrypted, "data_types": tables["data_types"][:0]}

    assert "so what was sent is unknown" in page(change=sealed)


@cache
def with_plain_text():
    return Reader(page(change=lambda info, tables: poisoned(info, tables, "text")))


# The beginning of a text decides where it leads to as an address; all else is as bad anywhere.
@pytest.mark.parametrize("at", range(0, len(HOSTILE), 5))
def test_hostile_text_in_every_field_is_shown_as_text(at):
    several = (HOSTILE[2], *HOSTILE[at : at + 5])

    def poison(info, tables):
        return poisoned(info, tables, " · ".join(several))

    clean = with_plain_text()
    text = page(change=poison)
    reader = Reader(text)
    assert {t for t, _ in reader.elements} <= {t for t, _ in clean.elements}
    assert {n for _, a in reader.elements for n in a} <= {n for _, a in clean.elements for n in a}
    assert all(a["href"].startswith("#") for a in reader.all("a"))
    assert "1337" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)
    text.encode()
    for hostile in several:
        visible = hostile.split("\u202e")[0].split("\x00")[0].split(" \ud800")[0]
        assert visible in reader.text


def test_endless_text_is_cut_and_says_so():
    def poison(info, tables):
        return info, {
            n: pd.concat([poisoned_table(t.head(1), "A" * 1_000_000), t.iloc[1:]])
            for n, t in poisoned(info, tables, "text")[1].items()
        }

    text = page(change=poison)
    assert len(text) < 2_000_000
    assert "(1,000,000 characters)" in text


def test_untrusted_names_of_personas_reach_no_attribute_as_markup():
    hostile = '"><svg/onload=alert(1)>'

    def poison(info, tables):
        return info, {
            n: t.assign(persona=t["persona"].astype(str).replace("vanilla", hostile))
            if "persona" in t
            else t
            for n, t in tables.items()
        }

    reader = Reader(page(change=poison))
    assert not [a for _, a in reader.elements if "onload" in a]


def test_a_study_of_another_form_is_one_clear_line():
    from echoaudit.errors import BadInput

    def break_it(info, tables):
        return {**info, "study": {"personas": [{"persona": 7}]}}, tables

    with pytest.raises(BadInput, match=r"study\.json: personas\.0\.persona"):
        page(change=break_it)


def test_other_treatments_than_speech_are_told_and_their_lack_is_said_aloud():
    info, tables, provenance = simulate((CLAIM,))
    delivery = tables["delivery"]
    mine = delivery["persona"] == "fashion"
    delivery.loc[mine, ["utterances_planned", "utterances_said", "utterances_delivered"]] = 0
    delivery.loc[mine, "topic_visits_planned"] = 3
    delivery.loc[mine, ["topic_visits_complete", "opt_outs_planned"]] = 1
    conclusions = conclude_all((CLAIM,), tables)
    assert warnings(tables, conclusions)[:2] == (
        "Most visits to a topic were lost: "
        "Only 3 of 9 visits of fashion to its topic are complete.",
        "Not opted out: fashion-1, fashion-2 and fashion-3 have not opted out, though planned.",
    )
    text = Reader(render(info, tables, conclusions, provenance)).text
    assert "1 / 3 topic visits, 0 / 1 opted out" in text
    assert "3 / 9 topic visits, 0 / 3 opted out" in text
    assert "only 0 of 3 fashion accounts opted out" in text


def test_a_stranger_finds_the_answers_first(paper):
    found = re.findall(r"<dt>(.*?)</dt>(.*?)</div>", paper.partition('<dl class="brief">')[2], re.S)
    answers = {question: re.sub("<[^>]+>", " ", answer) for question, answer in found[:4]}
    assert list(answers) == [
        "Which claims hold?", "How sure is that?", "Based on how much?", "Who received what?",
    ]  # fmt: skip
    claims, sure, basis, received = answers.values()
    assert "1 of 1 claim holds: fashion-above-vanilla." in claims
    assert "chance alone is an unlikely cause (p = 0.012" in sure
    assert (
        "9 accounts (3 fashion and 6 vanilla)" in basis and "100 % of 36 planned sentences" in basis
    )
    assert "third parties: Edge, Podstats and Tonecast" in received
    assert "voice recordings went to Platform" in received


def test_the_answers_do_not_claim_what_nobody_knows():
    def blind(info, tables):
        gone = {"endpoints", "attribution", "data_types", "syncs"}
        empty = {n: t.head(0) if n in gone else t for n, t in tables.items()}
        return info, {**empty, "decrypted": tables["decrypted"].assign(status="sealed")}

    text = Reader(page(answered=False, change=blind)).text
    assert "0 of 1 claim hold; not decided: fashion-above-vanilla." in text
    assert "fashion-above-vanilla: cannot be told, for" in text
    assert "Traffic of Echos: none was captured." in text
    assert "unknown, for no device let itself be decrypted" in text


def test_ads_are_shown_with_words_for_who_cannot_see_them():
    info, tables, provenance = simulate([CLAIM])
    picture = b"\xff\xd8 pixels"
    text = render(info, tables, [], provenance, pictures={"shoes.example-1": picture})
    (image,) = Reader(text).all("img")
    assert image["src"].startswith("data:image/jpeg;base64,/9ggcGl4ZWxz")
    assert image["alt"] == "Ad of shoes.example: New fashion every week"
    section = text.partition('<section id="ads"')[2]
    assert "12 ads filled slots: 2 creatives of 2 known advertisers" in section
    assert "1 creative reached accounts of one persona only" in section
    card = re.sub("<[^>]+>", " ", section.partition("<li")[2].partition("</li>")[0])
    assert "only fashion" in card and "seen by fashion 3 of 3" in card
    hostile = HOSTILE[1]
    poisoned_ads = tables["ad_creatives"].assign(text=hostile, advertiser=hostile)
    tables = {**tables, "ad_creatives": poisoned_ads}
    attacked = Reader(render(info, tables, [], provenance, pictures={"shoes.example-1": picture}))
    assert [set(image) for image in attacked.all("img")] == [{"src", "alt"}]
