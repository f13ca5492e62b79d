"""What a streaming service plays to an account: clips, and in breaks ads chosen by its profile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from echoaudit.lab.world_model import AudioAd, Clip, StreamingService, WorldFile

Row = TypeVar("Row", Clip, AudioAd)


@dataclass(frozen=True)
class Item:
    """One thing to play, as an Echo is told."""

    item: str
    kind: Literal["clip", "ad"]
    text: str | None
    """What is said; None: music only."""
    voice: str
    music: int | None
    """Which music: alone, or under the voice."""
    seconds: float
    """Length of music alone."""
    gap: float
    """Seconds of silence after it."""

    def to_json(self) -> dict[str, Any]:
        """As the cloud sends it."""
        return asdict(self)


def service_of(world: WorldFile, name: str) -> StreamingService | None:
    """The service called ``name``."""
    return next((stream for stream in world.streams if stream.service == name), None)


def item(
    world: WorldFile, service: StreamingService, account: str, interests: Sequence[str], number: int
) -> Item:
    """The ``number``-th thing that ``service`` plays to ``account``; the same each time."""
    random_ = random.Random(f"{world.seed}/{account}/{service.service}/{number}")
    ads = eligible(world, service, account, interests)
    if ads and number % (service.clips + service.ads) >= service.clips:
        return _of_ad(_drawn(ads, random_), service)
    clips = [clip for clip in world.clips if not clip.services or service.service in clip.services]
    return _of_clip(_drawn(clips, random_), service)


def eligible(
    world: WorldFile, service: StreamingService, account: str, interests: Sequence[str]
) -> list[AudioAd]:
    """Ads that may be played to ``account``; without targeting, all of the service."""
    persona = account.rpartition("-")[0]

    def fits(ad: AudioAd) -> bool:
        wanted = ad.interest is None or ad.interest in interests
        return wanted and (not ad.personas or persona in ad.personas)

    here = [ad for ad in world.audio_ads if not ad.services or service.service in ad.services]
    return [ad for ad in here if fits(ad) or not world.targeting]


def _drawn(rows: Sequence[Row], random_: random.Random) -> Row:
    return random_.choices(rows, [row.weight for row in rows])[0]


def _of_ad(ad: AudioAd, service: StreamingService) -> Item:
    return Item(ad.ad, "ad", ad.text, ad.voice, ad.bed, 0.0, service.gap_s)


def _of_clip(clip: Clip, service: StreamingService) -> Item:
    music = clip.seed if clip.text is None else None
    return Item(clip.clip, "clip", clip.text, clip.voice, music, clip.seconds, service.gap_s)
