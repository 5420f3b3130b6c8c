/*
 * Virtual time. Runs first in the <head> of every HTML file, child frames included.
 *
 * Date, performance.now, requestAnimationFrame and randomness follow the seek instead of the wall clock, so that a frame depends on its time
 * alone. Until the first seek every clock reads zero and no animation frame runs.
 *
 * setTimeout and setInterval stay real: loaders, promise polyfills and the HyperFrames runtime boot with them before the first seek.
 */
(() => {
  "use strict";
  if (window.__HF_VIRTUAL_TIME__) return;
  window.__HF_RENDER_CAPTURE_MODE = true;

  let now = 0;
  const RealDate = window.Date;
  const originals = {
    originalSetTimeout: window.setTimeout.bind(window),
    originalClearTimeout: window.clearTimeout.bind(window),
    originalSetInterval: window.setInterval.bind(window),
    originalClearInterval: window.clearInterval.bind(window),
    originalRequestAnimationFrame: window.requestAnimationFrame.bind(window),
    originalCancelAnimationFrame: window.cancelAnimationFrame.bind(window),
    originalPerformanceNow: window.performance.now.bind(window.performance),
  };

  /* Clocks. The constructor is wrapped, not subclassed: Date() without `new` must keep working and instances must stay plain dates. */
  RealDate.now = () => Math.floor(now);
  const VirtualDate = new Proxy(RealDate, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length ? args : [RealDate.now()], newTarget),
    apply: () => new RealDate(RealDate.now()).toString(),
  });
  RealDate.prototype.constructor = VirtualDate;
  Object.defineProperty(window, "Date", { configurable: true, writable: true, value: VirtualDate });
  Object.defineProperty(window.performance, "now", { configurable: true, writable: true, value: () => now });
  if (typeof window.Temporal === "object") {
    const clock = window.Temporal.Now;
    const instant = () => window.Temporal.Instant.fromEpochMilliseconds(RealDate.now());
    const zonedDateTimeISO = (zone = clock.timeZoneId()) => instant().toZonedDateTimeISO(zone);
    Object.assign(clock, {
      instant,
      zonedDateTimeISO,
      plainDateTimeISO: (zone) => zonedDateTimeISO(zone).toPlainDateTime(),
      plainDateISO: (zone) => zonedDateTimeISO(zone).toPlainDate(),
      plainTimeISO: (zone) => zonedDateTimeISO(zone).toPlainTime(),
    });
  }

  /* Randomness: one 32-bit xorshift-multiply stream, reseeded from the time of every seek, so that it is independent of earlier frames. */
  let state = 1;
  function seed() {
    state = (Math.imul(Math.round(now * 1000) | 0, 0x9e3779b1) ^ 0x5bd1e995) | 0 || 1;
  }
  function word() {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const mixed = Math.imul(state ^ (state >>> 16), 0x45d9f3b);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  }
  Math.random = function random() {
    return word() / 4294967296;
  };
  if (window.crypto) {
    window.crypto.getRandomValues = function getRandomValues(array) {
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      for (let i = 0; i < bytes.length; i++) bytes[i] = word() >>> 24;
      return array;
    };
    window.crypto.randomUUID = function randomUUID() {
      const bytes = window.crypto.getRandomValues(new Uint8Array(16));
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
    };
  }
  seed();

  /* Animation frames. A flush runs every queued callback once, with the time of the seek; callbacks queued meanwhile wait for the next flush. */
  let lastHandle = 0;
  let queue = new Map();
  let running = null;
  const errors = [];
  window.requestAnimationFrame = function requestAnimationFrame(callback) {
    if (typeof callback !== "function") throw new TypeError("requestAnimationFrame: the argument is not a function");
    lastHandle += 1;
    queue.set(lastHandle, callback);
    return lastHandle;
  };
  window.cancelAnimationFrame = function cancelAnimationFrame(handle) {
    queue.delete(handle);
    running?.delete(handle);
  };
  function flush() {
    running = queue;
    queue = new Map();
    for (const callback of running.values()) {
      try {
        callback.call(window, now);
      } catch (error) {
        errors.push(String(error?.stack || error));
      }
    }
    running = null;
  }

  function setTime(milliseconds) {
    now = Math.max(0, Number(milliseconds) || 0);
    seed();
    tuneGsap();
  }

  /*
   * GSAP smooths jumps in time as if they were stutter, and writes planar movement as 3D transforms (see bridge/layers.js). Both are turned
   * off. The script's load event comes before the next script can build a timeline.
   */
  let tuned;
  function tuneGsap() {
    const gsap = window.gsap;
    if (!gsap || gsap === tuned || typeof gsap.config !== "function" || !gsap.ticker) return;
    tuned = gsap;
    gsap.config({ force3D: false });
    gsap.ticker.lagSmoothing(0);
  }
  document.addEventListener("load", tuneGsap, true);

  /* Shadow trees, closed ones included. The bridge has no other way to reach the animations inside them. */
  const shadowTrees = new Set();
  const attachShadow = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (...args) {
    const tree = attachShadow.apply(this, args);
    shadowTrees.add(tree);
    return tree;
  };
  /* The parser creates those written as <template shadowrootmode>. */
  document.addEventListener("DOMContentLoaded", () => {
    for (const element of document.querySelectorAll("*")) if (element.shadowRoot) shadowTrees.add(element.shadowRoot);
  });

  window.__HF_VIRTUAL_TIME__ = {
    ...originals,
    /* Sets the clocks without running animation frames: the callbacks of a timeline that is being seeked already read the new time. */
    setTime,
    flush,
    seekToTime(milliseconds) {
      setTime(milliseconds);
      flush();
      return now;
    },
    getTime: () => now,
    takeErrors: () => errors.splice(0),
    shadowTrees: () => Array.from(shadowTrees).filter((tree) => tree.isConnected),
  };
})();
