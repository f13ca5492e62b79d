// Before the kept library: where its messages go, and which rules this document gets. It runs in a
// script world of its own that pages do not see.
((tell, config, rules) => {
  "use strict";
  const main = window.top === window;
  const short = (message) => message.type !== "report" ? { ...message, main } : {
    type: "report", main, lifecycle: message.state.lifecycle,
    attempts: message.state.findCmpAttempts, clicks: message.state.clicks,
  };
  const CLOSING = 3000, POLL = 100;

  // Whether an answered banner goes away, as a rule's success alone does not say. In frames nobody
  // can tell: there the frame goes.
  const isClosed = async (cmp) => {
    const stands = async () => cmp.popups ? !(await cmp.test()) : cmp.detectPopup();
    for (let waited = 0; waited < CLOSING; waited += POLL) {
      await new Promise((go) => setTimeout(go, POLL));
      if (!(await stands())) return true;
    }
    return false;
  };

  const here = (rule) => {
    const pattern = rule.runContext && rule.runContext.urlPattern;
    return !pattern || location.href.match(pattern) !== null;
  };
  const begin = () => {
    const all = JSON.parse(main ? rules.page : rules.frame);
    window.autoconsentReceiveMessage({
      type: "initResp", config, rules: { autoconsent: all.filter(here) } });
  };
  const say = (message) => window[tell](JSON.stringify(short(message)));
  window.autoconsentSendMessage = async function (message) {
    // The library asks while it is being made: it is answered when it is there.
    if (message.type === "init") { queueMicrotask(begin); return; }
    say(message);
    if (message.type === "autoconsentDone" && main) {
      const cmp = this && this.foundCmp; // it is called as a method of the library's own object
      say({ type: "closed", result: cmp ? await isClosed(cmp) : null });
    }
  };
})
