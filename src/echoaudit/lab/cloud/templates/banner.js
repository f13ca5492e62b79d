(function () {
  "use strict";
  var banner = document.querySelector("[data-view]");
  if (!banner) { return; }

  function answer(choice) {
    var url = "/consent?view=" + banner.dataset.view + "&choice=" + choice;
    fetch(url, { method: "POST" }).then(function () {
      banner.remove();
      // What was withheld comes with the page's next load.
      if (choice === "accept") { location.reload(); }
    });
  }

  ["accept", "reject"].forEach(function (choice) {
    banner.querySelector("[data-choice-" + choice + "]").onclick = function () { answer(choice); };
  });
})();
