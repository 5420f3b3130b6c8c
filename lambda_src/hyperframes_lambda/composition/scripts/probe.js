/*
 * The probe of `check`. Runs right after the virtual time and records which lines of the author's own scripts use randomness, a clock or a
 * timer. Every call is passed on.
 *
 * Libraries (files named *.min.js and files of another origin) are skipped: the author cannot change them, and common ones follow the timeline.
 */
(() => {
  "use strict";
  const uses = {};

  /* The nearest stack line outside the engine, as "index.html:12". Null when a library made the call. */
  function place() {
    for (const line of String(new Error().stack).split("\n").slice(1)) {
      const match = /(https?:\/\/[^\s)]+):(\d+):\d+\)?$/.exec(line);
      if (!match) continue;
      const url = new URL(match[1]);
      if (url.pathname.startsWith("/__hyperframes/") && !url.pathname.startsWith("/__hyperframes/remote/")) continue;
      if (url.origin !== location.origin || url.pathname.startsWith("/__hyperframes/") || /\.min\.m?js$/.test(url.pathname)) return null;
      return `${decodeURIComponent(url.pathname.slice(1))}:${match[2]}`;
    }
    return null;
  }

  function note(what) {
    const where = place();
    if (where === null) return;
    const key = `${what} ${where}`;
    uses[key] ??= { what, place: where, count: 0 };
    uses[key].count += 1;
  }

  function watch(owner, name, what) {
    const original = owner?.[name];
    if (typeof original !== "function") return;
    Object.defineProperty(owner, name, {
      configurable: true,
      writable: true,
      value(...args) {
        note(what);
        return original.apply(this, args);
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
    construct(target, args, newTarget) {
      if (args.length === 0) note("clock");
      return Reflect.construct(target, args, newTarget);
    },
    apply(target, self, args) {
      note("clock");
      return Reflect.apply(target, self, args);
    },
  });
  window.__HF_PROBE__ = uses;
})();
