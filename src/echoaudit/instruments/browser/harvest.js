// Runs before any script of a page, in every frame. Finds each Prebid.js instance, whatever it is
// called, and reports what its auctions do. Leaves nothing that a page would find by accident:
// the only name it uses is random, not enumerable, and chosen anew for each browser.
((NAME) => {
  "use strict";
  const report = window[NAME];
  if (typeof report !== "function") return;
  const instances = new Map();
  const ATTEMPTS = 5;
  const SLOTS = 30;
  const AD_TAGS = "ins.adsbygoogle, [data-google-query-id], [data-ad-slot]";
  const AD_TAG_NAMES = ["googletag", "apstag", "adsbygoogle"];
  const EVENTS = [
    "auctionInit", "bidRequested", "bidResponse", "noBid", "bidTimeout", "bidderError",
    "bidRejected", "bidWon", "adRenderSucceeded", "adRenderFailed", "auctionEnd",
  ];

  const send = (instance, event, data) => {
    const message = { time: Date.now() / 1000, frame: location.href.slice(0, 300), instance, event };
    try {
      report(JSON.stringify({ ...message, data }));
    } catch (error) {
      report(JSON.stringify({ ...message, data: {}, lost: String(error).slice(0, 200) }));
    }
  };

  const list = (value) => (Array.isArray(value) ? value : []);

  // Identifiers that go along with a request: extended ids, by the system that made each.
  const eids = (bid, asked) => {
    const users = [bid.ortb2, asked.ortb2].map((known) => (known || {}).user || {});
    return [bid.userIdAsEids, ...users.flatMap((user) => [user.eids, (user.ext || {}).eids])]
      .flatMap(list).slice(0, 40).map((one) => ({
        source: one && one.source, ids: list(one && one.uids).slice(0, 10).map((uid) => uid && uid.id),
      }));
  };

  const request = (bid, asked = {}) => ({
    request: bid.bidId, auction: bid.auctionId, bidder: bid.bidder || bid.bidderCode,
    slot: bid.adUnitCode, sizes: bid.sizes, timeout: bid.timeout || asked.timeout,
    userIds: Object.keys(bid.userId || {}), eids: eids(bid, asked),
  });
  const requests = (asked) => list((asked || {}).bids).map((bid) => request(bid, asked));

  const answer = (bid) => ({
    request: bid.originalRequestId || bid.requestId, ad: bid.adId, auction: bid.auctionId,
    bidder: bid.bidderCode || bid.bidder, adapter: bid.adapterCode, slot: bid.adUnitCode,
    cpm: bid.cpm, currency: bid.currency, originalCpm: bid.originalCpm,
    originalCurrency: bid.originalCurrency, width: bid.width, height: bid.height,
    latency: bid.timeToRespond, creative: bid.creativeId, deal: bid.dealId,
    domains: bid.meta && bid.meta.advertiserDomains, reason: bid.rejectionReason,
    advertiser: bid.meta && (bid.meta.advertiserName || bid.meta.brandName),
    mediaType: bid.mediaType,
  });

  const digest = {
    auctionInit: (auction) => ({ auction: auction.auctionId, timeout: auction.timeout }),
    auctionEnd: (auction) => ({ auction: auction.auctionId }),
    bidRequested: (bidder) => ({ bids: requests(bidder) }),
    bidTimeout: (bids) => ({ bids: Array.from(bids || []).map((bid) => request(bid)) }),
    bidderError: ({ bidderRequest, error }) => ({
      bids: requests(bidderRequest),
      timedOut: Boolean(error && error.timedOut),
      reason: [error && error.reason, error && error.statusText].find((x) => typeof x === "string"),
    }),
    noBid: (bid) => request(bid),
    bidResponse: answer,
    bidRejected: answer,
    bidWon: answer,
    adRenderSucceeded: ({ bid, adId }) => (bid ? answer(bid) : { ad: adId }),
    adRenderFailed: ({ bid, adId, reason }) => ({ ...(bid ? answer(bid) : { ad: adId }), reason }),
  };

  // Where each instance drew which ad; the frame is not known of those that draw by messages.
  const drawn = [];
  const draw = (instance, { bid, doc }) => {
    if (!bid || drawn.length >= SLOTS) return;
    const frame = doc && doc.defaultView && doc.defaultView.frameElement;
    drawn.push({ instance, slot: bid.adUnitCode, ad: bid.adId, frame });
  };

  const observe = (name, event, data) => {
    try {
      if (event === "adRenderSucceeded") draw(name, data || {});
      send(name, event, digest[event](data || {}));
    } catch (error) {
      send(name, event, {});
    }
  };

  // Events of before are in Prebid's own log: an instance that was found late loses nothing.
  const attach = (name) => {
    const prebid = window[name];
    if (instances.has(name) || !prebid || typeof prebid.onEvent !== "function") return;
    instances.set(name, prebid);
    send(name, "instance", { version: String(prebid.version) });
    const past = typeof prebid.getEvents === "function" ? prebid.getEvents() : [];
    past.forEach((entry) => digest[entry.eventType] && observe(name, entry.eventType, entry.args));
    EVENTS.forEach((event) => prebid.onEvent(event, (data) => observe(name, event, data)));
  };

  // When a name is announced, the instance has its queue but not yet its methods: go first in it.
  const announced = (name, attempt = 0) => {
    const prebid = window[name];
    if (!prebid) {
      if (attempt < ATTEMPTS) setTimeout(() => announced(name, attempt + 1), 20);
      return;
    }
    if (typeof prebid.onEvent === "function" && prebid.libLoaded) attach(name);
    else if (Array.isArray(prebid.que)) prebid.que.unshift(() => attach(name));
  };

  const globals = [];
  Object.defineProperty(globals, "push", {
    value(...names) {
      const length = Array.prototype.push.apply(this, names);
      names.forEach((name) => announced(name));
      return length;
    },
  });
  Object.defineProperty(window, "_pbjsGlobals", {
    value: globals, writable: true, configurable: true, enumerable: false,
  });

  // Versions before the registry of globals, and pages that replaced it.
  const search = () => {
    const known = Array.isArray(window._pbjsGlobals) ? window._pbjsGlobals : [];
    new Set([...globals, ...known, "pbjs"]).forEach(attach);
  };

  const force = () => {
    search();
    instances.forEach((prebid, name) => {
      const auctionId = crypto.randomUUID ? crypto.randomUUID() : `${Math.random()}`;
      send(name, "force", { auction: auctionId });
      prebid.que.push(() => prebid.requestBids({ auctionId, bidsBackHandler: () => {} }));
    });
    return instances.size;
  };

  const responses = () => [...instances].flatMap(([name, prebid]) =>
    Object.values(prebid.getBidResponses()).flatMap(({ bids }) =>
      (bids || []).map((bid) => ({ instance: name, frame: location.href.slice(0, 300), ...answer(bid) }))));

  const googleSlots = () => {
    try {
      return window.googletag.pubads().getSlots().map((slot) => {
        const told = slot.getResponseInformation() || {};
        return {
          element: document.getElementById(slot.getSlotElementId()), path: slot.getAdUnitPath(),
          advertiser: told.advertiserId, campaign: told.campaignId, line_item: told.lineItemId,
          creative: told.creativeId,
        };
      });
    } catch (error) {
      return [];
    }
  };

  // The elements that hold ads, in the page's order; each tells how it was known.
  const places = () => {
    const found = [], google = googleSlots();
    const covered = (element) =>
      found.find((one) => one.element.contains(element) || element.contains(one.element));
    const add = (element, told) => {
      if (element && element.isConnected && !covered(element)) found.push({ element, ...told });
    };
    const gpt = ({ element, ...told }) => told;
    const ofGoogle = (code) => google.find((one) => one.path === code) || {};
    instances.forEach((prebid, instance) => {
      const codes = (prebid.adUnits || []).map((unit) => unit.code);
      new Set([...codes, ...drawn.map((one) => one.slot)]).forEach((slot) => {
        const ad = drawn.findLast((one) => one.instance === instance && one.slot === slot);
        const box = document.getElementById(slot) || ofGoogle(slot).element;
        add(box || (ad && ad.frame), { kind: "prebid", slot, instance, ad: ad && ad.ad });
      });
    });
    drawn.forEach(({ frame, ...told }) => add(frame, { kind: "prebid", ...told }));
    google.forEach((one) => {
      const known = one.element && covered(one.element);
      if (known) known.gpt = gpt(one);
      else add(one.element, { kind: "gpt", slot: one.path, gpt: gpt(one) });
    });
    document.querySelectorAll(AD_TAGS).forEach((element) =>
      add(element, { kind: "tag", slot: element.id || element.getAttribute("data-ad-slot") }));
    document.querySelectorAll("iframe[src^=http]").forEach((element) =>
      add(element, { kind: "frame", slot: element.id || null, source: element.src }));
    const follows = Node.DOCUMENT_POSITION_FOLLOWING;
    return found.sort((a, b) => a.element.compareDocumentPosition(b.element) & follows ? -1 : 1);
  };

  let held = [], told = 0;
  const slots = (turn) => {
    if (turn === told) return "[]";
    told = turn;
    held = places();
    return JSON.stringify(held.map(({ element, ...place }, number) =>
      ({ ...place, number, page: location.href })));
  };

  const tags = () => AD_TAG_NAMES.filter((name) => window[name]);

  Object.defineProperty(window, NAME, {
    value: Object.freeze({
      search: () => { search(); return instances.size; },
      force,
      responses: () => JSON.stringify(responses()),
      slots,
      element: (number) => held[number].element,
      tags: () => JSON.stringify(tags()),
    }),
    writable: false, configurable: true, enumerable: false,
  });
})
