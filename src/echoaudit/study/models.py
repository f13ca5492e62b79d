"""What a user writes: personas, skills, claims and where a study runs, as typed values."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


def _words(allowed: str, example: object, **more: Any) -> Any:
    """Schema words for people: what a value may be (editors show it too) and one that is good."""
    return Field(examples=[example], json_schema_extra={"patternErrorMessage": allowed, **more})


Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$"),
    _words("lower-case letters, digits and hyphens, at most 40", "fashion"),
]
"""Lower-case words joined by hyphens: names become folders."""

AccountName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}-[1-9][0-9]?$"),
    _words("a persona's name, a hyphen and the account's number", "fashion-1"),
]

ClaimName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$"),
    _words("lower-case letters, digits and hyphens, at most 100", "fashion-above-vanilla"),
]

Text = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=500, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"
    ),
    _words("one line of 1 to 500 characters", "some words"),
]

ProxyAddress = Annotated[
    str,
    StringConstraints(pattern=r"^(?:https?|socks5)://[A-Za-z0-9._\-\[\]:]+:[0-9]{1,5}$"),
    _words(
        "http, https or socks5 with a host and a port; no password (that is for proxy_secrets)",
        "socks5://127.0.0.1:1080",
    ),
]

Interface = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}$"),
    _words("the name of a network interface, as `ip link` shows it", "wlan0"),
]

DataType = Literal[
    "voice recording",
    "transcript",
    "customer id",
    "skill id",
    "device id",
    "language",
    "time zone",
    "preferences",
    "device events",
    "location",
    "contact data",
]
"""Kinds of personal data, as the published study tells them apart."""

EnablingState = Literal[
    "enabled",
    "already enabled",
    "disabled",
    "already disabled",
    "not found",
    "refused",
    "timeout",
    "failed",
]
"""What came of enabling or disabling a skill in the store."""

Prose = Annotated[
    str,
    StringConstraints(min_length=1, max_length=5000, strip_whitespace=True),
    _words("1 to 5000 characters", "some sentences"),
]

FromHere = Annotated[
    Path, _words("a path, relative to the working directory", "recordings", relativeTo="command")
]
"""Other paths are relative to the file they are written in."""

Beside = Annotated[
    Path,
    _words(
        "a path relative to this file, so that a recording holds the whole study",
        "../skills/fashion.yaml",
        relativeTo="file only",
    ),
]


class Strict(BaseModel):
    """Base of everything read from YAML: no unknown keys, no coercion, immutable."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


# --- skills -----------------------------------------------------------------------------------


class Answers(Strict):
    """What is said to a skill that asks something, by what the question wants to know."""

    yes_no: Text | None = Field(default=None, examples=["Yes."])
    """To a question that wants yes or no."""
    name: Text | None = Field(default=None, examples=["Robin."])
    """To a question for a name."""
    number: Text | None = Field(default=None, examples=["Seven."])
    """To a question for a number."""
    other: Text | None = Field(default=None, examples=["The first one."])
    """To any other question."""

    def over(self, others: Answers) -> Answers:
        """These answers, and those of ``others`` where there is none."""
        return Answers(**{**others.model_dump(), **self.model_dump(exclude_none=True)})


class Source(Strict):
    """Where a catalogue's facts come from."""

    kind: Text = Field(examples=["skill page of the store"])
    """What kind of source it was."""
    date: date
    """The day on which they were true."""


class Skill(Strict):
    """A third-party voice app."""

    id: Text = Field(examples=["B01LPS96B4"])
    """The store's id (ASIN)."""
    name: Text = Field(examples=["Style Check"])
    """As the store shows it; also spoken, to enable the skill."""
    invocation: Text = Field(examples=["style check"])
    """The words that open it, as spoken."""
    vendor: Text | None = None
    """Who publishes it, as the store says."""
    utterances: tuple[Text, ...] = Field(min_length=1, examples=[["Alexa, open Style Check."]])
    """Whole sentences, each with its wake word."""
    policy_url: Text | None = None
    """Its privacy policy, if the store links one."""
    permissions: tuple[Text, ...] = ()
    """What it asks leave for."""
    answers: Answers = Answers()
    """To this skill's questions, instead of the persona's."""


class Catalogue(Strict):
    """A file under ``skills/``: the skills of one interest."""

    catalogue: Name
    """The catalogue's name."""
    interest: Text = Field(examples=["Fashion & Style"])
    """The interest that the skills have in common."""
    source: Source
    skills: tuple[Skill, ...] = Field(min_length=1)
    """In order of preference."""


# --- persona, claim, study --------------------------------------------------------------------

PLAY: dict[str, str] = {
    "amazon-music": "Alexa, play top hits on Amazon Music.",
    "spotify": "Alexa, play top hits on Spotify.",
    "pandora": "Alexa, play top hits on Pandora.",
}
"""What is said for the streaming services of the published study."""


class Stream(Strict):
    """A streaming service that the speaker is asked to play, and that is recorded for its ads."""

    service: Name = Field(examples=["pandora"])
    """Its name; amazon-music, spotify and pandora know their sentence."""
    say: Text | None = Field(default=None, examples=["Alexa, play jazz on Pandora."])
    """The sentence that starts it."""
    hours: float = Field(gt=0, le=24, examples=[6.0])
    """How long each account listens."""

    @property
    def sentence(self) -> str:
        """What is said."""
        return self.say or PLAY.get(self.service) or f"Alexa, play {self.service}."


class PersonaVoice(Strict):
    """How a persona speaks, where the voice is what a study varies; absent: the configuration's."""

    voice: Text | None = Field(default=None, examples=["rms"])
    """One of the engine's voices."""
    speed: float | None = Field(default=None, ge=0.5, le=2.0)
    """Factor on the engine's rate of speech."""
    gain: float | None = Field(default=None, ge=0.0, le=4.0)
    """Factor on the samples."""


class Persona(Strict):
    """Who is simulated: talked to, browsing, or left alone as a control."""

    persona: Name
    """The persona's name; its accounts are called NAME-1, NAME-2, ..."""
    interest: Text | None = None
    """What the persona is interested in."""
    description: Prose | None = None
    """For readers."""
    skills: Beside | None = None
    """A catalogue, relative to the persona's file."""
    answers: Answers = Answers()
    """What it answers to skills that ask; without an answer, a question stays open."""
    speaks_with: PersonaVoice | None = None
    """A voice of its own; only in a study with ``treatment: voice``."""
    browses: Name | None = Field(default=None, examples=["health"])
    """A topic whose sites (``topics`` of the configuration) its browser visits as treatment."""
    echo: bool = True
    """Whether it has a speaker; without ``account`` there is none."""
    account: bool = True
    """Whether it has an account of the platform, in which its browser is signed in."""
    opt_out: bool = False
    """Whether its account opts out of interest-based advertising before anything else."""
    streams: tuple[Stream, ...] | None = Field(
        default=None, examples=[[{"service": "pandora", "hours": 6.0}]]
    )
    """Streaming services it listens to after its sessions; absent: the configuration's."""
    control: Name | None = None
    """The persona it is compared with; found beside this file and run along."""
    accounts: int | None = Field(default=None, ge=1, le=50)
    """Echo, account and browser profiles; the configuration's number when absent."""

    @property
    def speaks(self) -> bool:
        """Whether its accounts have a speaker."""
        return self.echo and self.account


Measure = Literal[
    "value",
    "rate",
    "value-per-opportunity",
    "maximum",
    "partners",
    "count",
    "distance",
    "exclusive",
    "accounts",
]
"""What a claim compares; which of them an outcome has is in ``MEASURES``."""
BID_MEASURES: tuple[Measure, ...] = (
    "value",
    "rate",
    "value-per-opportunity",
    "maximum",
    "partners",
)
SET_MEASURES: tuple[Measure, ...] = ("count", "distance", "exclusive", "accounts")
MEASURES: dict[str, tuple[Measure, ...]] = {
    "bids": BID_MEASURES,
    "endpoints": SET_MEASURES,
    "trackers": SET_MEASURES,
    "organisations": SET_MEASURES,
    "syncs": SET_MEASURES,
    "audio-ads": ("count",),
    "creatives": SET_MEASURES,
    "ads": SET_MEASURES,
    "advertisers": SET_MEASURES,
    "interests": SET_MEASURES,
}
"""The measures of each outcome: of bids, and of the set of things that each account had."""
DIRECTIONS: dict[str, tuple[str, ...]] = {"distance": ("different",), "exclusive": ("higher",)}
"""Measures whose statistic has one direction only."""


class Claim(Strict):
    """A hypothesis, stated before the run."""

    claim: ClaimName
    """The claim's name."""
    outcome: Literal[
        "bids",
        "endpoints",
        "trackers",
        "organisations",
        "syncs",
        "audio-ads",
        "creatives",
        "ads",
        "advertisers",
        "interests",
    ] = "bids"
    """The facts that it is about: bids, hosts that speakers contact, those of advertising or
    tracking, the owners of hosts, pairs of parties that exchange identifiers, ads heard, different
    ads heard, different ads shown on pages, whose those are, and interests by the platform's own
    data request."""
    measure: Measure = "value"
    """What is compared. Bids: worth of a bid, bids per request, worth per request, highest bid,
    bids of the platform's partners over those of others. Others: how many per account, how unlike
    the accounts' sets are, how many only treated accounts have, and how many accounts have any."""
    item: Text | None = Field(default=None, examples=["adnxs.com"])
    """With ``accounts``: the one thing that is looked for; absent: any."""
    treated: Name
    """The persona that something was done to."""
    control: Name
    """The persona it is compared with."""
    direction: Literal["higher", "lower", "different", "equivalent"] = "higher"
    """What treated is said to be, compared with control; equivalent: within ``smallest_effect``."""
    unit: Literal["account"] = "account"
    """What is counted as one observation: the account, to which treatment is done."""
    family: Name = "main"
    """Claims that are corrected for together."""
    correction: Literal["holm", "bh"] = "holm"
    """holm: chance of any false claim in the family. bh: share of false ones among its claims."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance of a false claim that is put up with."""
    smallest_effect: float = Field(default=1.25, gt=1)
    """Ratio below which a difference would not matter: the margin of ``equivalent``."""
    exploratory: bool = False
    """A question rather than a prediction; never corrected for together with predictions."""


class ClaimsFile(Strict):
    """Claims stated after a run (``claims:`` in YAML, as in a study)."""

    claims: tuple[Claim, ...] = Field(min_length=1)
    """What is asked of a recording that is there already: exploratory."""


class Site(Strict):
    """A page to visit."""

    site: Name
    """Its name, also in folders."""
    url: Annotated[
        str,
        StringConstraints(pattern=r"^https?://[^\s/]\S*$", max_length=2000),
        _words("an address that begins with http:// or https://", "https://news.example/"),
    ]
    """The page's address."""


Exclusion = Literal["confounded"]
"""confounded: sessions in which another skill than the one meant answered."""


class Study(Strict):
    """Personas and claims that run together (``study: NAME`` in YAML)."""

    study: Name
    """The study's name."""
    personas: tuple[Beside, ...] = Field(min_length=1, examples=[["personas/fashion.yaml"]])
    """Files of personas, or folders of them."""
    treatment: Literal["interest", "voice"] = "interest"
    """What differs between personas; voices must be the same unless they are it."""
    claims: tuple[Claim, ...] = ()
    """Empty: a default set for each persona that has a control."""
    sites: tuple[Site, ...] = ()
    """Empty: the configuration's."""
    exclude: tuple[Exclusion, ...] | None = Field(default=None, examples=[["confounded"]])
    """Sessions left out where contacts and data are told apart by skill; absent: the
    configuration's rule."""


# --- configuration: where and how it runs -----------------------------------------------------


class Accounts(Strict):
    """How many accounts each persona gets when its file does not say."""

    treated: int = Field(default=3, ge=1, le=50)
    """Of a persona that talks to skills or browses a topic."""
    control: int = Field(default=6, ge=1, le=50)
    """Of a persona to which nothing is done."""


class Rounds(Strict):
    """Passes over all sites by all accounts."""

    before: int = Field(default=2, ge=0, le=100)
    """Baseline rounds, before anything is said."""
    after: int = Field(default=3, ge=1, le=100)
    """Rounds after the sessions."""
    topic: int = Field(default=1, ge=1, le=100)
    """Passes over a topic's sites by the personas that browse it, between before and after."""
    block: int = Field(default=10, ge=1, le=1000)
    """Sites that every account visits before any goes on: accounts see a site close in time."""


class SpeakerSettings(Strict):
    """How sentences become sound."""

    engine: Literal["flite", "espeak-ng", "piper", "gtts", "files"] = "flite"
    """Text to speech; gtts needs the internet, piper is installed by the user. files: sentences
    that a person has spoken."""
    folder: Path | None = Field(default=None, examples=["../voices/robin"])
    """Of engine files: the sound files and ``index.csv`` (text, file)."""
    voice: Text | None = None
    """One of the engine's voices (of piper, its file); its own choice when absent."""
    speed: float = Field(default=1.0, ge=0.5, le=2.0)
    """Factor on the engine's rate of speech."""
    gain: float = Field(default=1.0, ge=0.0, le=4.0)
    """Factor on the samples; 0 is silence."""
    device: Text = "default"
    """PyAudio output device by name (or its beginning); ``{account}`` stands for the account."""
    timeout: float = Field(default=10.0, gt=0)
    """Seconds the online engine may take."""


class MicrophoneSettings(Strict):
    """How a reply is heard."""

    device: Text = "default"
    """PyAudio input device by name (or its beginning); ``{account}`` stands for the account."""
    silence: float = Field(default=5.0, gt=0)
    """Seconds of silence that end a reply."""
    patience: float = Field(default=5.0, gt=0, le=60)
    """Seconds to wait for a reply to begin; never less than ``silence``."""
    limit: float = Field(default=30.0, gt=0)
    """Seconds after which a reply is cut."""
    transcriber: Literal["moonshine", "pocketsphinx"] = "moonshine"
    """Speech to text, offline."""


class Conversation(Strict):
    """What is done in one session around a skill's own utterances."""

    enable: Literal["voice", "browser", "none"] = "voice"
    """How a skill is enabled before and disabled after: aloud, in the ``store``, or not at all."""
    skills: int = Field(default=50, ge=1, le=999)
    """At most this many of a persona's skills, the first of its catalogue."""
    utterances: int = Field(default=50, ge=1, le=999)
    """At most this many of a skill's utterances, the first of its list."""
    attempts: int = Field(default=2, ge=1, le=5)
    """Times a sentence is said before it counts as not delivered."""
    answers: int = Field(default=2, ge=0, le=10)
    """At most this many of a skill's questions are answered after one of its utterances."""
    pause: float = Field(default=2.0, ge=0)
    """Seconds between a reply and the next sentence."""
    gap: float = Field(default=0.0, ge=0)
    """Seconds between two sessions of an account in which nothing is said or recorded."""
    idle: float = Field(default=60.0, ge=0)
    """Seconds of background traffic recorded once per account; 0 for none."""


class RemoteSettings(Strict):
    """Another machine that is the speakers' gateway already; packets are taken there over SSH."""

    ssh: Annotated[
        str,
        StringConstraints(
            pattern=r"^([A-Za-z_][A-Za-z0-9_-]{0,31}@)?[A-Za-z0-9][A-Za-z0-9.-]{0,252}$"
        ),
        _words("USER@HOST or a host of the SSH configuration", "pi@gateway.local"),
    ]
    """The machine; its host key must be known, and no question may be asked."""
    interface: Interface
    """Its interface towards the speakers."""
    config: Path | None = None
    """OpenSSH client configuration (port, key, known hosts); the user's own when absent."""
    sudo: bool = False
    """Whether programs are started by ``sudo -n`` there."""
    names: (
        Annotated[
            str,
            StringConstraints(pattern=r"^/[A-Za-z0-9._/+-]+$", max_length=200),
            _words(
                "an absolute path of letters, digits and . _ / + -", "/var/log/pihole/pihole.log"
            ),
        ]
        | None
    ) = None
    """Its resolver's log of questions (dnsmasq or Pi-hole with ``log-queries=extra``); absent:
    names come from the capture alone."""


class LearnSettings(Strict):
    """Names that a trusting device will not let be decrypted pass through for a while."""

    refusals: int = Field(default=3, ge=1, le=100)
    """Handshakes that the device ends with an alert about our certificate, until a name passes."""
    hours: float = Field(default=24.0, gt=0, le=720)
    """How long it passes; then it is tried again."""


class Streaming(Strict):
    """How streaming services are recorded."""

    part: float = Field(default=60.0, gt=0, le=1440)
    """Minutes of one step: what a killed run has to listen to again."""
    file: float = Field(default=10.0, gt=0, le=60)
    """Minutes of one sound file."""
    silence: float = Field(default=20.0, gt=0)
    """Seconds of silence after which a stream has ended by itself."""


class GatewaySettings(Strict):
    """The machine between the speakers and the internet."""

    lan: Interface = "lan0"
    """Interface the speakers are on."""
    wan: Interface = "wan0"
    """Interface towards the internet."""
    address: Text = "192.168.77.1/24"
    """The gateway's own address and network on ``lan``."""
    dns: tuple[Text, ...] = ("9.9.9.9",)
    """Upstream resolvers."""
    block: tuple[Path, ...] = ()
    """Files of domains (hosts or plain lists) that DNS refuses, as Pi-hole does."""
    policy: Literal["pinned", "trusting"] = "pinned"
    """pinned: TLS passes by untouched. trusting: decrypted by mitmproxy."""
    trusting: tuple[AccountName, ...] = ()
    """Accounts whose device trusts the gateway's authority, whatever ``policy`` says."""
    proxy_authority: Path | None = None
    """mitmproxy's configuration folder (its authority's key and certificate)."""
    upstream_authority: Path | None = None
    """Certificates that mitmproxy trusts towards servers, besides the system's."""
    quic: Literal["drop", "forward"] = "drop"
    """UDP to port 443; when dropped, devices fall back to TLS."""
    dot: Literal["drop", "forward"] = "drop"
    """DNS over TLS (port 853), which hides names."""
    probe: bool = False
    """Ask servers that stay nameless: a TLS handshake from the gateway after each session, and
    reverse DNS. Servers see the gateway's address; nothing else is said to them."""
    doh: Literal["drop", "forward"] = "drop"
    """DNS over HTTPS with known public resolvers, which hides names; unknown ones pass."""
    learn: LearnSettings | None = None
    """Pass by what a trusting device refuses; off when absent: such connections then fail."""
    remote: RemoteSettings | None = None
    """Another machine is the gateway; echoaudit only records there. Of the other settings only
    ``probe`` is used."""


class BrowserSettings(Strict):
    """The browser that carries each account's profile."""

    binary: Path | None = None
    """Chromium; the system's when absent."""
    driver: Path | None = None
    """ChromeDriver; the system's when absent."""
    headless: bool = True
    """Without a window."""
    third_party_cookies: Literal["allow", "block"] = "allow"
    """Cookie syncs need them; browsers block them unless told."""
    language: Text = "en-US"
    """The language that pages are asked for."""
    timezone: Text = "America/Los_Angeles"
    """The time zone that pages see."""
    window: tuple[int, int] = (1366, 900)
    """Width and height in pixels."""
    page_timeout: float = Field(default=30.0, gt=0)
    """Seconds until a page load is given up."""
    settle: float = Field(default=5.0, ge=0)
    """Longest wait, in seconds, for auctions and requests to end after the load."""
    proxy: ProxyAddress | None = None
    """What all traffic of accounts without a proxy of their own goes through, names included."""
    proxies: dict[AccountName, ProxyAddress] = {}
    """An account's own proxy, and so its own network address."""
    proxy_secrets: Path | None = None
    """JSON file ``{account: {"username": …, "password": …}}`` for HTTP proxies that ask for it."""
    proxy_probe: Text | None = Field(default=None, examples=["https://address.example/"])
    """A page that is loaded through the proxy when a browser starts, such as one that tells the
    address that it was asked from: what it says is recorded."""
    consent: Literal["accept", "reject", "ignore"] = "ignore"
    """What is answered to consent banners; ``ignore`` leaves them standing."""
    robots: Literal["ignore", "obey"] = "ignore"
    """``obey`` leaves out pages that their site's robots.txt does not allow to ``echoaudit``."""
    trusted_authority: Path | None = None
    """A certificate authority (PEM) that the browser accepts besides the system's."""
    grid: Annotated[
        str | None,
        StringConstraints(pattern=r"^https?://[^\s/]+\S*$", max_length=2000),
        _words("an address that begins with http:// or https://", "http://grid.example:4444"),
    ] = None
    """A Selenium Grid whose nodes run the browsers; this machine does when absent."""

    def of(self, account: str) -> BrowserSettings:
        """The settings of one account's browser, with the proxy that it uses."""
        return self.model_copy(
            update={"proxy": self.proxies.get(account, self.proxy), "proxies": {}}
        )


class Device(Strict):
    """The smart speaker of one account."""

    mac: Annotated[
        str,
        StringConstraints(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$"),
        _words("six lower-case hexadecimal pairs joined by colons", "fc:65:de:00:00:01"),
    ]
    """Its hardware address."""


class SignIn(Strict):
    """How an account's browser is signed in to the platform."""

    url: Text
    """The platform's sign-in page."""
    secrets: Path | None = None
    """JSON file ``{account: {"username": …, "password": …}}``, readable by its owner only; absent:
    a person signs each account in once, by ``echoaudit login``."""
    username_field: Text = "input[name=email]"
    """CSS selector of the field for the user name."""
    password_field: Text = "input[name=password]"
    """CSS selector of the field for the password."""
    submit: Text = "[type=submit]"
    """CSS selector of the button."""
    signed_in_cookie: Text = "at-main"
    """Cookie that is there when the account is signed in."""


class OptOut(Strict):
    """How an account opts out of interest-based advertising: a page, and what is clicked on it."""

    url: Text
    """The platform's page of advertising preferences."""
    submit: Text = "[type=submit]"
    """CSS selector of what is clicked."""
    opted_out: Text = "#opted-out"
    """CSS selector of what the page shows when the account has opted out."""


class StorePage(Strict):
    """How a skill is enabled in the platform's store, by the account's signed-in browser."""

    url: Annotated[
        str,
        StringConstraints(pattern=r"^https?://[^\s/]\S*\{id\}\S*$", max_length=2000),
        _words("an address with {id} in it", "https://store.example/dp/{id}"),
    ]
    """A skill's page; ``{id}`` stands for the skill's id."""
    enable: Text = "#enable"
    """CSS selector of what is clicked to enable it."""
    permissions: Text = "#accept-permissions"
    """CSS selector of what is clicked to grant what it asks for, when the page shows that."""
    disable: Text = "#disable"
    """CSS selector of what is clicked to disable it."""
    enabled: Text = "#enabled"
    """CSS selector of what the page shows of an enabled skill, and of no other."""
    refused: Text | None = Field(default=None, examples=["#refused"])
    """CSS selector of the message with which the store refuses."""
    picture: Text = "main"
    """CSS selector of the part that is kept as a picture: not the one that names the account."""


CurrencyCode = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{3}$"),
    _words("the three capital letters of a currency (ISO 4217)", "EUR"),
]


class ExchangeRates(Strict):
    """What other currencies are worth; kept with the recording, so that prices can be redone."""

    date: date
    """The day that the rates are of."""
    source: Text = Field(examples=["European Central Bank reference rates"])
    """Who says so."""
    usd: dict[CurrencyCode, Annotated[float, Field(gt=0, lt=1e6)]] = Field(
        min_length=1, examples=[{"EUR": 1.08}]
    )
    """US dollars for one unit of each currency."""


class Parallel(Strict):
    """How much runs at once."""

    sessions: int = Field(default=16, ge=1)
    """Accounts that talk at the same time; each has its own room."""
    browsers: int = Field(default=2, ge=1)
    """Browsers at the same time."""


class Folders(Strict):
    """Where results go; relative to the working directory."""

    recordings: FromHere = Path("recordings")
    """A folder per run."""
    reports: FromHere = Path("reports")
    """A file per run."""
    profiles: FromHere | None = None
    """Browser profiles (0700, never exported); beside the recording when absent."""


class Room(Strict):
    """How sound travels between loudspeaker, Echo and microphone in the lab."""

    distance_m: float = Field(default=1.0, ge=0.5, le=20)
    """Metres from the Echo to loudspeaker and microphone; at 1 it hears what is played."""
    reverberation_s: float = Field(default=0.0, ge=0, le=5)
    """Seconds in which an echo fades by 60 dB; 0 is a room without walls."""
    noise: float = Field(default=0.0, ge=0, le=0.5)
    """White noise at the Echo and at the microphone, as a fraction of full scale."""
    snr_db: float | None = Field(default=None, ge=-20, le=60, examples=[15])
    """Instead of ``noise``: decibels from it up to a voice of usual level, as the Echo hears it."""


class LabSettings(Strict):
    """Run on the embedded lab instead of real devices."""

    world: Annotated[Text, Field(json_schema_extra={"relativeTo": "file, when it has a slash"})] = (
        "paper"
    )
    """A world's name (``worlds/NAME.yaml``) or a path (with a slash, relative to this file)."""
    air: Literal["real", "fast"] = "real"
    """real: sound passes PyAudio and a sound server. fast: sockets, as fast as both ends think."""
    room: Room = Room()


class Config(Strict):
    """A file under ``configs/``: where and how studies run."""

    config: Name
    """The configuration's name."""
    seed: int = Field(default=1, ge=0, le=2**63 - 1)
    """Decides every random order, so that a plan can be made again."""
    lab: LabSettings | None = None
    accounts: Accounts = Accounts()
    rounds: Rounds = Rounds()
    sites: tuple[Site, ...] = ()
    """Pages to visit; a study may have its own."""
    exclude: tuple[Exclusion, ...] = Field(default=(), examples=[["confounded"]])
    """Sessions left out where contacts and data are told apart by skill; a study may say else."""
    topics: dict[Name, tuple[Site, ...]] = {}
    """Sites of a topic, by the name that a persona ``browses``."""
    devices: dict[AccountName, Device] = {}
    """The speaker of each account, by the account's name (``fashion-1``)."""
    sign_in: SignIn | None = None
    opt_out: OptOut | None = None
    store: StorePage | None = None
    rates: ExchangeRates | None = None
    """How bids in other currencies become dollars; absent: they stay without a price in dollars."""
    speaker: SpeakerSettings = SpeakerSettings()
    microphone: MicrophoneSettings = MicrophoneSettings()
    conversation: Conversation = Conversation()
    streams: tuple[Stream, ...] = ()
    """Streaming services that every persona listens to; a persona may have its own."""
    streaming: Streaming = Streaming()
    gateway: GatewaySettings = GatewaySettings()
    browser: BrowserSettings = BrowserSettings()
    parallel: Parallel = Parallel()
    folders: Folders = Folders()
