/*
 * Scopes for flattened sub-compositions. A script of one sees its own composition as the document, as it does when the HyperFrames runtime
 * mounts it. Only what would otherwise leak is wrapped: element lookups, GSAP's selector strings, the timeline registry and the variables.
 */
(() => {
  "use strict";
  if (window.__HF_SCOPE__) return;

  /*
   * scope: { id: the instance's composition id, authoredId: the id that its file uses, rootId: the root's authored element id or null,
   *          ids: {authored element id: id in this page}, variables: {…} }
   */
  window.__HF_SCOPE__ = (scope, script) => {
    const all = (selector) => {
      const root = document.querySelector(`[data-composition-id="${CSS.escape(scope.id)}"]`);
      const found = Array.from(document.querySelectorAll(rewriteSelector(String(selector), scope)));
      return root ? found.filter((node) => root.contains(node)) : found;
    };
    const querySelector = (selector) => all(selector)[0] || null;
    const getElementById = (id) => querySelector(`#${CSS.escape(String(id))}`);
    const scopedDocument = view(document, { querySelector, querySelectorAll: all, getElementById });
    const base = window.__hyperframes;
    const hyperframes = base && view(base, { getVariables: () => ({ ...scope.variables }) });
    const gsap = window.gsap && scopeGsap(window.gsap, all);
    const scopedTimelines = scopeTimelines(scope);
    const overrides = { document: scopedDocument, __timelines: scopedTimelines, __hyperframes: hyperframes, gsap };
    const scopedWindow = new Proxy(window, {
      get(target, key) {
        if (Object.hasOwn(overrides, key)) return overrides[key];
        return key === "window" || key === "self" || key === "globalThis" ? scopedWindow : bound(target, key);
      },
      set(target, key, value) {
        // `window.__timelines = window.__timelines || {}` assigns the scoped registry to itself: nothing changes.
        if (key !== "__timelines") target[key] = value;
        else if (value !== scopedTimelines) Object.assign(scopedTimelines, value);
        return true;
      },
    });
    script.call(scopedWindow, scopedDocument, scopedWindow, gsap, hyperframes);
  };

  /*
   * Puts the values of flattened instances, {composition id: {…}}, where the runtime looks for them when it binds variables. They are not
   * enumerable, because the runtime deletes every entry that it can enumerate and does not know.
   */
  window.__HF_SCOPE__.variables = (table) => {
    window.__hfVariablesByComp ||= {};
    for (const [id, value] of Object.entries(table)) {
      Object.defineProperty(window.__hfVariablesByComp, id, { configurable: true, enumerable: false, writable: true, value });
    }
  };

  /* The timeline registry, with the id that the file uses standing for the instance's own. */
  function scopeTimelines(scope) {
    window.__timelines ||= {};
    if (scope.id === scope.authoredId) return window.__timelines;
    const own = (key) => (key === scope.authoredId ? scope.id : key);
    return new Proxy(window.__timelines, {
      get: (target, key) => target[own(key)],
      has: (target, key) => own(key) in target,
      set(target, key, value) {
        target[own(key)] = value;
        return true;
      },
    });
  }

  /* A property of a host object. Methods need the object itself, not the proxy, as `this`; constructors keep their statics. */
  function bound(target, key) {
    const value = target[key];
    return typeof value === "function" && value.prototype === undefined ? value.bind(target) : value;
  }

  function view(target, overrides) {
    return new Proxy(target, {
      get: (object, key) => (Object.hasOwn(overrides, key) ? overrides[key] : bound(object, key)),
      set(object, key, value) {
        object[key] = value;
        return true;
      },
    });
  }

  function scopeGsap(gsap, all) {
    const elements = (target) => (typeof target === "string" ? all(target) : [target]);
    const targets = (target) => (Array.isArray(target) ? target.flatMap(elements) : typeof target === "string" ? all(target) : target);
    const one = (target) => (typeof target === "string" ? all(target)[0] : target);
    const scoped =
      (object, method, resolve) =>
      (target, ...rest) =>
        object[method](resolve(target), ...rest);
    const overrides = { timeline: (options) => scopeTimeline(gsap.timeline(options), targets) };
    for (const method of ["to", "from", "fromTo", "set", "killTweensOf", "getTweensOf"]) overrides[method] = scoped(gsap, method, targets);
    for (const method of ["quickTo", "quickSetter", "getProperty"]) overrides[method] = scoped(gsap, method, one);
    overrides.utils = view(gsap.utils, {
      toArray: scoped(gsap.utils, "toArray", targets),
      selector(base) {
        const outer = typeof base === "string" ? all(base)[0] : base && (base.current || base);
        return (selector) => all(selector).filter((node) => !outer || outer.contains(node));
      },
    });
    return view(gsap, overrides);
  }

  function scopeTimeline(timeline, targets) {
    for (const method of ["to", "from", "fromTo", "set"]) {
      const original = timeline[method];
      timeline[method] = (target, ...rest) => original.call(timeline, targets(target), ...rest);
    }
    return timeline;
  }

  /*
   * Translates the author's selector to this page: `#id` where the id was changed, `[data-composition-id="…"]` where the instance has
   * another id. Strings and everything else stay as they are.
   */
  function rewriteSelector(selector, scope) {
    let result = "";
    let index = 0;
    while (index < selector.length) {
      const character = selector[index];
      let end = index + 1;
      if (character === "\\") {
        end = index + 2;
        result += selector.slice(index, end);
      } else if (character === "[") {
        end = closing(selector, index);
        result += rewriteAttribute(selector.slice(index, end), scope);
      } else if (character === "#") {
        while (end < selector.length && /[-\w\\\u0080-\uffff]/.test(selector[end])) end += selector[end] === "\\" ? 2 : 1;
        result += rewriteId(selector.slice(index + 1, end), scope);
      } else {
        result += character;
      }
      index = end;
    }
    return result;
  }

  function closing(selector, open) {
    let quote = null;
    for (let index = open + 1; index < selector.length; index++) {
      const character = selector[index];
      if (character === "\\") index += 1;
      else if (quote) quote = character === quote ? null : quote;
      else if (character === '"' || character === "'") quote = character;
      else if (character === "]") return index + 1;
    }
    return selector.length;
  }

  function rewriteAttribute(text, scope) {
    const equals = text.indexOf("=");
    if (equals < 0) return text;
    const name = text.slice(1, equals).trim();
    let value = text.slice(equals + 1, -1).trim();
    if (value[0] === '"' || value[0] === "'") value = value.slice(1, -1);
    if (name === "data-composition-id" && value === scope.authoredId) return `[data-composition-id="${CSS.escape(scope.id)}"]`;
    return name === "id" && value in scope.ids ? `[id="${CSS.escape(scope.ids[value])}"]` : text;
  }

  function rewriteId(escaped, scope) {
    const id = escaped.replace(/\\([0-9a-fA-F]{1,6}\s?|.)/gs, (_all, code) =>
      /^[0-9a-fA-F]/.test(code) ? String.fromCodePoint(parseInt(code, 16)) : code,
    );
    if (id === scope.rootId) return `[data-hf-authored-id="${CSS.escape(id)}"]`;
    return `#${id in scope.ids ? CSS.escape(scope.ids[id]) : escaped}`;
  }
})();
