/*
 * Scopes for flattened sub-compositions: a script of one sees its own composition as the document, as it does when the HyperFrames runtime
 * mounts it. Only what leaks otherwise is wrapped: element lookups, GSAP's selector texts, the timeline registry, the variables.
 */
(function () {
  "use strict";
  if (window.__HF_SCOPE__) return;

  /*
   * scope: { id: the instance's composition id, authoredId: the id that its file uses, rootId: the root's authored element id or null,
   *          ids: {authored element id: id in this page}, variables: {…} }
   */
  window.__HF_SCOPE__ = function (scope, script) {
    var all = function (selector) {
      var root = rootOf(scope);
      var found = document.querySelectorAll(rewriteSelector(String(selector), scope));
      return root ? Array.prototype.filter.call(found, function (node) { return root.contains(node); }) : Array.from(found);
    };
    var one = function (selector) {
      return all(selector)[0] || null;
    };
    var byId = function (id) {
      return one("#" + CSS.escape(String(id)));
    };
    var scopedDocument = view(document, { querySelector: one, querySelectorAll: all, getElementById: byId });
    var base = window.__hyperframes;
    var hyperframes = base && view(base, { getVariables: function () { return Object.assign({}, scope.variables); } });
    var gsap = window.gsap && scopeGsap(window.gsap, all);
    var timelines = window.__timelines = window.__timelines || {};
    var scopedTimelines = scope.id === scope.authoredId ? timelines : new Proxy(timelines, {
      get: function (target, key) { return target[key === scope.authoredId ? scope.id : key]; },
      has: function (target, key) { return (key === scope.authoredId ? scope.id : key) in target; },
      set: function (target, key, value) { target[key === scope.authoredId ? scope.id : key] = value; return true; },
    });
    var scopedWindow = new Proxy(window, {
      get: function (target, key) {
        if (key === "document") return scopedDocument;
        if (key === "__timelines") return scopedTimelines;
        if (key === "__hyperframes") return hyperframes;
        if (key === "gsap") return gsap;
        if (key === "window" || key === "self" || key === "globalThis") return scopedWindow;
        return bound(target, key);
      },
      set: function (target, key, value) {
        // `window.__timelines = window.__timelines || {}` hands the scoped registry back: there is nothing to replace.
        if (key === "__timelines") return value === scopedTimelines || (Object.assign(scopedTimelines, value), true);
        target[key] = value;
        return true;
      },
    });
    script.call(scopedWindow, scopedDocument, scopedWindow, gsap, hyperframes);
  };

  /*
   * The values of flattened instances, {composition id: {…}}, where the runtime looks for them when it binds variables. It deletes the entries
   * that it can enumerate and does not know.
   */
  window.__HF_SCOPE__.variables = function (table) {
    var known = (window.__hfVariablesByComp = window.__hfVariablesByComp || {});
    Object.keys(table).forEach(function (id) {
      Object.defineProperty(known, id, { configurable: true, enumerable: false, writable: true, value: table[id] });
    });
  };

  function rootOf(scope) {
    return document.querySelector('[data-composition-id="' + CSS.escape(scope.id) + '"]');
  }

  /* A property of a host object; its methods need the object itself, not the proxy, as `this`. Constructors keep their statics. */
  function bound(target, key) {
    var value = target[key];
    return typeof value === "function" && value.prototype === undefined ? value.bind(target) : value;
  }

  function view(target, overrides) {
    return new Proxy(target, {
      get: function (object, key) {
        return Object.prototype.hasOwnProperty.call(overrides, key) ? overrides[key] : bound(object, key);
      },
      set: function (object, key, value) {
        object[key] = value;
        return true;
      },
    });
  }

  function scopeGsap(gsap, all) {
    var targets = function (target) {
      if (typeof target === "string") return all(target);
      return Array.isArray(target) ? target.flatMap(function (item) { return typeof item === "string" ? all(item) : [item]; }) : target;
    };
    var first = function (object, method) {
      return function (target) {
        var rest = Array.prototype.slice.call(arguments, 1);
        return object[method].apply(object, [targets(target)].concat(rest));
      };
    };
    var overrides = { timeline: function (options) { return scopeTimeline(gsap.timeline(options), targets); } };
    ["to", "from", "fromTo", "set", "killTweensOf", "getTweensOf"].forEach(function (method) {
      overrides[method] = first(gsap, method);
    });
    ["quickTo", "quickSetter", "getProperty"].forEach(function (method) {
      overrides[method] = function (target) {
        var rest = Array.prototype.slice.call(arguments, 1);
        return gsap[method].apply(gsap, [typeof target === "string" ? all(target)[0] : target].concat(rest));
      };
    });
    overrides.utils = view(gsap.utils, {
      toArray: first(gsap.utils, "toArray"),
      selector: function (base) {
        var outer = typeof base === "string" ? all(base)[0] : base && (base.current || base);
        return function (selector) {
          return all(selector).filter(function (node) { return !outer || outer.contains(node); });
        };
      },
    });
    return view(gsap, overrides);
  }

  function scopeTimeline(timeline, targets) {
    ["to", "from", "fromTo", "set"].forEach(function (method) {
      var original = timeline[method];
      timeline[method] = function (target) {
        var rest = Array.prototype.slice.call(arguments, 1);
        return original.apply(timeline, [targets(target)].concat(rest));
      };
    });
    return timeline;
  }

  /*
   * The author's selector in terms of this page: `#id` where the id was changed, `[data-composition-id="…"]` where the instance's is another.
   * Strings and everything else stay as they are.
   */
  function rewriteSelector(selector, scope) {
    var result = "";
    var index = 0;
    while (index < selector.length) {
      var character = selector[index];
      var end = index + 1;
      if (character === "\\") {
        end = index + 2;
        result += selector.slice(index, end);
      } else if (character === "[") {
        end = closing(selector, index);
        result += rewriteAttribute(selector.slice(index, end), scope);
      } else if (character === "#") {
        while (end < selector.length && isName(selector[end])) end += selector[end] === "\\" ? 2 : 1;
        result += rewriteId(selector.slice(index + 1, end), scope);
      } else {
        result += character;
      }
      index = end;
    }
    return result;
  }

  function isName(character) {
    return character === "-" || character === "_" || character === "\\" || character > "\u007f" ||
      (character >= "0" && character <= "9") || (character >= "a" && character <= "z") || (character >= "A" && character <= "Z");
  }

  function closing(selector, open) {
    var quote = null;
    for (var index = open + 1; index < selector.length; index++) {
      var character = selector[index];
      if (character === "\\") index += 1;
      else if (quote) quote = character === quote ? null : quote;
      else if (character === '"' || character === "'") quote = character;
      else if (character === "]") return index + 1;
    }
    return selector.length;
  }

  function rewriteAttribute(text, scope) {
    var equals = text.indexOf("=");
    if (equals < 0) return text;
    var name = text.slice(1, equals).trim();
    var value = text.slice(equals + 1, -1).trim();
    if (value[0] === '"' || value[0] === "'") value = value.slice(1, -1);
    if (name === "data-composition-id" && value === scope.authoredId) return '[data-composition-id="' + CSS.escape(scope.id) + '"]';
    return name === "id" && value in scope.ids ? '[id="' + CSS.escape(scope.ids[value]) + '"]' : text;
  }

  function rewriteId(escaped, scope) {
    var id = escaped.replace(/\\([0-9a-fA-F]{1,6}\s?|[^])/g, function (_all, code) {
      return /^[0-9a-fA-F]/.test(code) ? String.fromCodePoint(parseInt(code, 16)) : code;
    });
    if (id === scope.rootId) return '[data-hf-authored-id="' + CSS.escape(id) + '"]';
    return "#" + (id in scope.ids ? CSS.escape(scope.ids[id]) : escaped);
  }
})();
