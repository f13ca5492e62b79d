// Around the kept library: it looks once whether a consent banner stands, and touches nothing. It
// runs in a script world of ours that pages do not see; they are asked nothing either.
(library, config, rules) => {
  "use strict";
  const LIMIT = 1000, MOMENT = 100;
  const found = { looked: false, cmps: [], popup: null };
  window.requestIdleCallback = undefined; // of this world only: a busy page is looked at, too
  window.autoconsentReceiveMessage = undefined; // of an earlier look
  return new Promise((done) => {
    setTimeout(done, LIMIT);
    const stage = (name) => {
      found.looked ||= name === "nothingDetected" || name === "cmpDetected";
      if (name === "nothingDetected") done();
      // Some rules look for their banner in steps.
      if (name === "cmpDetected") setTimeout(done, MOMENT);
    };
    window.autoconsentSendMessage = async (message) => {
      const answer = (told) => queueMicrotask(() => window.autoconsentReceiveMessage(told));
      if (message.type === "init") {
        answer({ type: "initResp", config, rules: { autoconsent: rules } });
      } else if (message.type === "eval") {
        answer({ type: "evalResp", id: message.id, result: false });
      } else if (message.type === "cmpDetected") {
        found.cmps.push(message.cmp);
      } else if (message.type === "popupFound") {
        found.popup ??= message.cmp;
        done();
      } else if (message.type === "report") {
        stage(message.state.lifecycle);
      }
    };
    library();
  }).then(() => found);
}
