"""What a world file may say: the planted truth of a simulated world, as typed values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from echoaudit.study.models import DataType, Name, Strict, Text


def _words(allowed: str, example: str) -> Any:
    """Schema words for people: what a value may be, and one that is good."""
    return Field(examples=[example], json_schema_extra={"patternErrorMessage": allowed})


HostName = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}$", max_length=200
    ),
    _words("a full host name in lower case", "www.shop.com"),
]
CertificateName = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}$", max_length=200
    ),
    _words("a full host name in lower case, or *. and one", "*.shop.com"),
]
ReverseName = Annotated[
    str,
    StringConstraints(
        pattern=r"^(none|([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24})$", max_length=200
    ),
    _words("a full host name in lower case, or 'none'", "edge-7.hosting.net"),
]
UrlPath = Annotated[
    str,
    StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]*$", max_length=200),
    _words("a path of letters, digits and . _ ~ / - that starts with /", "/v1/events"),
]
Word = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,39}$"),
    _words("letters, digits, _ and -, at most 40", "uid"),
]
"""A cookie's or parameter's name."""
BidderCode = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,39}$"),
    _words("letters, digits and _, at most 40", "appnexus"),
]
"""Also the name of a JavaScript variable."""

AdapterName = Literal["appnexus", "rubicon", "ix", "openx", "pubmatic", "adkernel"]
Encoding = Literal["plain", "base64", "base64url", "hex", "md5", "sha1", "sha256"]
Kind = Literal["platform", "vendor", "advertising", "tracking", "hosting", "publisher"]
Role = Literal["functional", "advertising", "tracking", "hosting"]
Http = Literal["1.1", "2", "3"]

PLATFORM = "platform"
"""The name of the platform as a receiver of cookie syncs."""
PREFERENCES = "/adprefs"
"""Path of the shop's page on which an account opts out."""
SKILL_PAGE = "/dp/{id}"
"""Path of the shop's page of a skill."""


class HostRow(Strict):
    """A name that the cloud serves."""

    host: HostName
    tls: Literal["1.2", "1.3"] = "1.3"
    """The only TLS version its server speaks."""
    http: Http = "2"
    """The best HTTP version its server speaks; "3" is QUIC, beside HTTP/2 for whom it fails."""
    cname: HostName | None = None
    """Another name that DNS answers with first."""
    address_of: HostName | None = None
    """Another host, of anybody, whose address it is served at."""
    certificate: tuple[CertificateName, ...] = ()
    """Names on the certificate that its address shows to whoever gives none; absent: its hosts'."""
    reverse: ReverseName | None = None
    """What reverse DNS says of its address; absent: a name that it serves."""
    role: Role | None = None
    """What public lists are known to say it is for; absent: they need not know it."""


class Organisation(Strict):
    """An owner of hosts; hosts of one owner and kind of server share an address."""

    organisation: Text
    kind: Kind
    hosts: tuple[HostRow, ...] = Field(min_length=1)


class DataSend(Strict):
    """One piece of personal data that a request carries."""

    data: DataType
    """``voice recording`` goes into the body as a sound file, or in base64."""
    place: Literal["body", "query", "header"] = "body"
    field: Word
    """Name of the field, parameter or header; protobuf has numbers instead."""
    encoding: Encoding = "plain"


class Contact(Strict):
    """A request that an Echo makes, on a connection of its own."""

    host: HostName
    path: UrlPath = "/"
    method: Literal["GET", "POST"] = "GET"
    send_bytes: int = Field(default=0, ge=0, le=1_000_000)
    receive_bytes: int = Field(default=200, ge=0, le=5_000_000)
    sends: tuple[DataSend, ...] = ()
    """Personal data to send; without any, the body is random bytes."""
    body: Literal["json", "form", "multipart", "protobuf"] = "json"
    """How the body holds what ``sends`` puts there."""
    gzip: bool = False
    """Whether the body is compressed."""
    lookup: Literal["always", "once", "never"] = "always"
    """How often an Echo asks DNS for the host; never: its address is built in."""
    sni: bool = True
    """Whether the ClientHello names the host."""
    hello: Literal["whole", "segments", "records", "large"] = "whole"
    """The ClientHello: in one packet, over several, in two TLS records, or too large for one."""


class Background(Contact):
    """A request that every Echo makes again and again, whatever is said."""

    every_s: float = Field(ge=1, le=86_400)


class SkillContact(Contact):
    """A request that an Echo makes because of a skill."""

    on: Literal["enable", "open", "say", "talk"] = "talk"
    """What brings it about; ``talk`` is open or say."""


class Behaviour(Strict):
    """What skills do when they are talked to."""

    skills: tuple[Text, ...] = ()
    """Ids, names or invocation names; empty: every skill of ``interest``."""
    interest: Text | None = None
    reply: Text = "Welcome to {name}. Here is something new for you today."
    asks: Text | None = None
    """A question after the reply; the Echo then listens without being called."""
    then: Text = "Thank you. That was {name}."
    """What it says to the answer."""
    contacts: tuple[SkillContact, ...] = ()


class Platform(Strict):
    """The voice platform: its device cloud, its shop with the sign-in page, its advertising."""

    voice: HostName
    shop: HostName
    ads: HostName
    session_cookie: Word = "at-main"
    visit_cookie: Word = "session-id"
    ads_cookie: Word = "ad-id"
    reply: Text = "Here is {name}."
    opt_out: Literal["honoured", "ignored"] = "honoured"
    """What becomes of an account's wish not to be shown ads by its interests."""
    unavailable: tuple[Text, ...] = ()
    """Ids of skills that the store shows, and refuses to enable."""
    shop_slots: tuple[SlotRow, ...] = ()
    """Places for ads on the shop's home page, which accounts that are signed in are shown."""
    shop_ads: tuple[ShopAd, ...] = ()
    background: tuple[Background, ...] = ()
    sends: tuple[Send, ...] = ()
    """Syncs that the platform itself starts; usually none."""


class ShopAd(Strict):
    """An ad on the shop's home page, sold and chosen by the platform itself."""

    ad: Name
    advertiser: HostName
    """The platform's own host for its own products."""
    text: Text
    interest: Text | None = None
    """Shown to accounts that the platform takes to be of this interest; absent: to all others."""


class Send(Strict):
    """A party passes its identifier of a browser on."""

    to: Name
    """A party, or ``platform``."""
    parameter: Word = "uid"
    encoding: Encoding = "plain"


class Party(Strict):
    """Somebody who recognises browsers by a cookie and may pass that identifier on."""

    party: Name
    host: HostName
    path: UrlPath = "/usersync"
    cookie: Word = "uid"
    identifier: Literal["digits", "hex", "uuid", "base64"] = "hex"
    load: Literal["image", "iframe"] = "image"
    """How a page loads its sync pixel."""
    sends: tuple[Send, ...] = ()


class Bidder(Strict):
    """A buyer in the auctions of the pages, behind a genuine Prebid adapter."""

    bidder: BidderCode
    """Its code in the pages; another than ``adapter`` makes it an alias."""
    adapter: AdapterName
    party: Name
    """Whose cookie it recognises browsers by."""
    host: HostName | None = None
    """Its server; only for adkernel, the others' servers are fixed in their adapters."""
    account: int = Field(default=1001, ge=1, le=10**9)
    """Its number for the publishers."""
    bid_rate: float = Field(default=0.7, ge=0, le=1)
    cpm: float = Field(default=0.3, gt=0, le=1000)
    """Median price in dollars without any lift."""
    lifts: dict[Text, Annotated[float, Field(gt=0, le=1000)]] = Field(default={})
    """Factor on the price by interest, for browsers it knows to be of that interest."""
    late_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of auctions it answers too late."""


class SlotRow(Strict):
    """A place for an ad."""

    slot: Name
    size: tuple[Annotated[int, Field(ge=1, le=2000)], Annotated[int, Field(ge=1, le=2000)]]


class ServerAuction(Strict):
    """An auction that a page only begins: a server holds it and tells its bids to no script."""

    kind: Literal["apstag", "google-ads", "prebid-server"]
    host: HostName
    """Who is asked; Amazon's tag and Google's ad server have their own domains."""


class Publisher(Strict):
    """A site whose page runs header bidding."""

    consent: Literal["cookieconsent3", "onetrust", "quantcast"] | None = None
    """Whose markup its consent banner has. Until it is accepted, the server withholds bidders,
    slots and pixels, and nobody gets an identifier; absent: no banner."""

    site: Name
    host: HostName
    title: Text
    topic: Name | None = None
    """A site of this topic is no page of the rounds: it is there for personas that browse it."""
    interest: Text | None = None
    """What the parties whose pixels it loads take its visitors to be interested in."""
    text: Text = "Nothing much happened today, and it happened in good order."
    variable: BidderCode = "pbjs"
    """Name of the global variable that holds Prebid."""
    slots: tuple[SlotRow, ...] = Field(min_length=1, max_length=12)
    bidders: tuple[BidderCode, ...] = Field(min_length=1)
    pixels: tuple[Name, ...] = ()
    """Parties whose sync pixel the page loads, besides its bidders' own."""
    auctions: tuple[ServerAuction, ...] = Field(default=(), max_length=12)
    """Auctions on servers that the page begins, too."""
    timeout_ms: int = Field(default=3000, ge=100, le=20_000)
    """Time limit of its auctions; a busy machine must not turn bids into timeouts."""


class Ad(Strict):
    """A creative."""

    ad: Name
    advertiser: HostName
    text: Text
    interest: Text | None = None
    """Shown only to browsers whose price was lifted for this interest; absent: to all others."""
    bidders: tuple[BidderCode, ...] = ()
    """Who shows it; empty: everybody."""


class Clip(Strict):
    """Content of streaming services: music, or somebody who talks. No ad, whatever is said."""

    clip: Name
    text: Text | None = None
    """What is said; absent: music."""
    voice: Literal["rms", "slt", "awb", "kal16"] = "awb"
    seconds: float = Field(default=30.0, ge=1, le=600)
    """Length of music."""
    seed: int = Field(default=1, ge=0)
    """Which music."""
    weight: float = Field(default=1.0, gt=0, le=100)
    """How often, compared with other clips; a station's jingle is a short clip of great weight."""
    services: tuple[Name, ...] = ()
    """Where it is played; empty: everywhere."""


class AudioAd(Strict):
    """A creative that streaming services play."""

    ad: Name
    text: Text
    brand: Text | None = None
    interest: Text | None = None
    """Played only to accounts whose profile has this interest; absent: to all."""
    personas: tuple[Name, ...] = ()
    """Played only to accounts of these personas, whatever they are interested in; empty: to all."""
    services: tuple[Name, ...] = ()
    """Where it is played; empty: everywhere."""
    weight: float = Field(default=1.0, gt=0, le=100)
    """How often, compared with other ads."""
    voice: Literal["rms", "slt", "awb", "kal16"] = "rms"
    bed: int | None = Field(default=None, ge=0)
    """Which music plays softly under the voice."""


class StreamingService(Strict):
    """A service that an Echo plays until it is stopped."""

    service: Name
    say: Text
    """The sentence that starts it."""
    reply: Text = "Here are top hits."
    clips: int = Field(default=2, ge=1, le=50)
    """Clips between two breaks."""
    ads: int = Field(default=2, ge=0, le=10)
    """Ads in a break."""
    gap_s: float = Field(default=0.8, ge=0, le=5)
    """Silence after each clip and ad."""


class Noise(Strict):
    """Standard deviations of the natural logarithm of prices."""

    account: float = Field(default=0.08, ge=0, le=3)
    """Between accounts."""
    bid: float = Field(default=0.3, ge=0, le=3)
    """Between auctions."""
    cell: float = Field(default=0.3, ge=0, le=3)
    """Between combinations of site, slot and bidder."""


class WorldFile(Strict):
    """A file under ``worlds/``."""

    world: Name
    seed: int = Field(default=1, ge=0)
    targeting: bool = True
    """False: nobody's price depends on interests, whatever ``lifts`` say."""
    decoys: bool = True
    """Parties also pass session numbers, cache busters and constants around."""
    catalogues: tuple[Path, ...] = ()
    """Skills that exist besides those of the study; relative to the file."""
    noise: Noise = Noise()
    blocked: tuple[HostName, ...] = ()
    """Hosts on the block list of the gateway that the Echos are behind."""
    organisations: tuple[Organisation, ...] = Field(min_length=1)
    platform: Platform
    behaviours: tuple[Behaviour, ...] = ()
    parties: tuple[Party, ...] = ()
    bidders: tuple[Bidder, ...] = ()
    publishers: tuple[Publisher, ...] = ()
    ads: tuple[Ad, ...] = Field(min_length=1)
    streams: tuple[StreamingService, ...] = ()
    clips: tuple[Clip, ...] = ()
    audio_ads: tuple[AudioAd, ...] = ()


Platform.model_rebuild()
