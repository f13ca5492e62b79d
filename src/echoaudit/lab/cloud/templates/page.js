(function () {
  "use strict";
  var settings = JSON.parse(document.getElementById("settings").textContent);
  var prebid = (window[settings.variable] = window[settings.variable] || {});
  prebid.que = prebid.que || [];

  // Resolves when the pixel's whole chain of redirects has ended, well or badly.
  function loaded(pixel) {
    return new Promise(function (resolve) {
      var element = document.createElement(pixel.load === "iframe" ? "iframe" : "img");
      element.onload = element.onerror = resolve;
      element.className = "quiet";
      element.src = pixel.url;
      document.body.appendChild(element);
    });
  }

  function within(promise, milliseconds) {
    var limit = new Promise(function (resolve) { setTimeout(resolve, milliseconds); });
    return Promise.race([promise, limit]);
  }

  function show(unit) {
    var best = prebid.getHighestCpmBids(unit.code)[0];
    if (!best) { return; }
    var frame = document.createElement("iframe");
    frame.width = best.width;
    frame.height = best.height;
    frame.title = "Advertisement";
    frame.scrolling = "no";
    document.getElementById(unit.code).appendChild(frame);
    prebid.renderAd(frame.contentDocument, best.adId);
  }

  function auction() {
    prebid.setConfig({
      bidderTimeout: settings.timeout,
      userSync: { syncEnabled: false },
      enableSendAllBids: true
    });
    settings.aliases.forEach(function (alias) { prebid.aliasBidder(alias[0], alias[1]); });
    prebid.addAdUnits(settings.units);
    prebid.requestBids({ bidsBackHandler: function () { settings.units.forEach(show); } });
  }

  // Auctions on servers: their answers are for tags that are not here.
  settings.auctions.forEach(function (auction) {
    fetch(auction.url, { method: auction.method, mode: "no-cors", credentials: "include" })
      .catch(function () {});
  });

  // Bidders know a browser by their cookies: the pixels that set them come first.
  within(Promise.all(settings.pixels.map(loaded)), 6000).then(function () {
    prebid.que.push(auction);
  });
})();
