/*
 * The probe: behind the virtual time, only while `check` looks at a project. It notes which lines of the author's own scripts use chance, a
 * clock or a timer, and passes every call on.
 *
 * A library (a file named *.min.js, or one of another origin) is not the author's to mend, and the usual ones follow the timeline anyway.
 */
(function () {
  "use strict";
  var uses = {};

  /* The nearest line on the stack that is not the engine's: "index.html:12". Null when that is a library's. */
  function place() {
    var lines = String(new Error().stack).split("\n");
    for (var i = 1; i < lines.length; i++) {
      var match = /(https?:\/\/[^\s)]+):(\d+):\d+\)?$/.exec(lines[i]);
      if (!match) continue;
      var url = new URL(match[1]);
      if (url.pathname.startsWith("/__hyperframes/") && !url.pathname.startsWith("/__hyperframes/remote/")) continue;
      if (url.origin !== location.origin || url.pathname.startsWith("/__hyperframes/") || /\.min\.m?js$/.test(url.pathname)) return null;
      return decodeURIComponent(url.pathname.slice(1)) + ":" + match[2];
    }
    return null;
  }

  function note(what) {
    var where = place();
    if (where === null) return;
    var key = what + " " + where;
    uses[key] = uses[key] || { what: what, place: where, count: 0 };
    uses[key].count += 1;
  }

  function watch(owner, name, what) {
    if (!owner || typeof owner[name] !== "function") return;
    var original = owner[name];
    Object.defineProperty(owner, name, {
      configurable: true,
      writable: true,
      value: function () {
        note(what);
        return original.apply(this, arguments);
      },
    });
  }

  watch(Math, "random", "random");
  watch(window.crypto, "getRandomValues", "random");
  watch(window.crypto, "randomUUID", "random");
  watch(window.performance, "now", "clock");
  watch(window.Date, "now", "clock");
  watch(window, "setInterval", "timer");
  window.Date = new Proxy(window.Date, {
    construct: function (target, args, newTarget) {
      if (args.length === 0) note("clock");
      return Reflect.construct(target, args, newTarget);
    },
    apply: function (target, self, args) {
      note("clock");
      return Reflect.apply(target, self, args);
    },
  });
  window.__HF_PROBE__ = uses;
})();
