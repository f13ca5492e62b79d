// Looks at one document from a script world of its own: the page can neither see nor deceive it.
(() => {
  "use strict";
  const LIMITS = { markup: 1 << 20, text: 4096, list: 50, label: 300, link: 2048, nodes: 20000,
                   frames: 10, items: 200, value: 4096 };
  const LABELS = ["alt", "aria-label", "title"];
  const MEDIA = new Set(["IMG", "VIDEO", "CANVAS", "SVG", "OBJECT", "EMBED", "PICTURE"]);
  const MEDIA_AREA = 100;
  let frames = [];

  const cut = (value, limit) => String(value).slice(0, limit).toWellFormed();

  const add = (list, value, limit) => {
    if (!value || list.length >= LIMITS.list) return;
    const text = cut(value, limit).trim();
    if (text && !list.includes(text)) list.push(text);
  };

  // Elements below a root, those in open shadow trees too.
  function* elements(root, budget = { left: LIMITS.nodes }) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT);
    let node = root.nodeType === Node.ELEMENT_NODE ? root : walker.nextNode();
    for (; node && budget.left > 0; node = walker.nextNode()) {
      budget.left -= 1;
      yield node;
      if (node.shadowRoot) yield* elements(node.shadowRoot, budget);
    }
  }

  const target = (element) => {
    const value = element.href && element.href.baseVal !== undefined
      ? element.href.baseVal : element.getAttribute("href") || element.getAttribute("action");
    if (!value) return null;
    try {
      const url = new URL(value, document.baseURI);
      return /^https?:$/.test(url.protocol) ? url.href : null;
    } catch (error) {
      return null;
    }
  };

  const isDrawn = (element) => {
    const box = element.getBoundingClientRect();
    if (box.width * box.height < MEDIA_AREA) return false;
    return MEDIA.has(element.tagName.toUpperCase())
      || getComputedStyle(element).backgroundImage.includes("url(");
  };

  // What an element or a document says and where it leads.
  const content = (root) => {
    const element = root.nodeType === Node.DOCUMENT_NODE ? root.documentElement : root;
    const url = cut(location.href, LIMITS.link);
    if (!element) return { url, html: "", text: "", alts: [], links: [], frames: 0, media: 0 };
    const alts = [], links = [], shadows = [];
    let media = 0;
    frames = [];
    for (const one of elements(element)) {
      LABELS.forEach((name) => add(alts, one.getAttribute(name), LIMITS.label));
      if (/^(a|area|form)$/i.test(one.tagName)) add(links, target(one), LIMITS.link);
      if (/^i?frame$/i.test(one.tagName) && frames.length < LIMITS.frames) frames.push(one);
      if (one.shadowRoot) shadows.push(one.shadowRoot.textContent);
      if (isDrawn(one)) media += 1;
    }
    const text = [element.innerText ?? element.textContent, ...shadows].join("\n");
    return {
      url, html: cut(element.outerHTML, LIMITS.markup), text: cut(text, LIMITS.text),
      alts, links, frames: frames.length, media,
    };
  };

  const kept = (kind) => {
    try {
      const store = window[`${kind}Storage`];
      const names = Object.keys(store);
      const items = names.slice(0, LIMITS.items).map(
        (name) => [cut(name, LIMITS.label), cut(store.getItem(name), LIMITS.value)]);
      return { kind, total: names.length, items: Object.fromEntries(items) };
    } catch (error) {
      return null; // sandboxed, or an address without an origin
    }
  };

  const storage = () => ({
    origin: self.origin,
    kept: ["local", "session"].map(kept).filter((store) => store && store.total),
  });

  // Whether the page says in schema.org's words that it is not free to read.
  const isPaid = () => {
    const no = (value) => value === false || /^(https?:\/\/schema\.org\/)?false$/i.test(value);
    const told = (value, depth) => typeof value === "object" && value !== null && depth < 8
      && (no(value.isAccessibleForFree)
        || Object.values(value).slice(0, LIMITS.list).some((inner) => told(inner, depth + 1)));
    const scripts = [...document.querySelectorAll('script[type="application/ld+json"]')];
    return scripts.slice(0, LIMITS.list).some((script) => {
      try {
        return told(JSON.parse(script.textContent), 0);
      } catch (error) {
        return false; // no JSON
      }
    }) || [...document.querySelectorAll("[itemprop=isAccessibleForFree]")].slice(0, LIMITS.list)
      .some((element) => no(element.content ?? element.textContent.trim()));
  };

  // When the document has been drawn once more, or will not be within a moment.
  const drawn = () => new Promise((done) => {
    requestAnimationFrame(() => requestAnimationFrame(() => done(true)));
    setTimeout(() => done(false), 500);
  });

  globalThis.echoaudit = { content, storage, drawn, isPaid, frame: (number) => frames[number] };
})();
