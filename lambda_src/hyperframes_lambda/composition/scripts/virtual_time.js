/*
 * Virtual time: first in the <head> of every HTML file, child frames included.
 *
 * Date, performance.now, requestAnimationFrame and randomness follow the seek instead of the wall clock, so that a moment of the composition
 * is a function of its time alone. Until the first seek every clock reads zero and no animation frame runs.
 *
 * setTimeout and setInterval stay real: loaders, promises' polyfills and the HyperFrames runtime itself boot with them, before there is any
 * seek that could advance a virtual timer.
 */
(function () {
  "use strict";
  if (window.__HF_VIRTUAL_TIME__) return;
  window.__HF_RENDER_CAPTURE_MODE = true;

  var now = 0;
  var RealDate = window.Date;
  var real = {
    setTimeout: window.setTimeout.bind(window),
    clearTimeout: window.clearTimeout.bind(window),
    setInterval: window.setInterval.bind(window),
    clearInterval: window.clearInterval.bind(window),
    requestAnimationFrame: window.requestAnimationFrame.bind(window),
    cancelAnimationFrame: window.cancelAnimationFrame.bind(window),
    performanceNow: window.performance.now.bind(window.performance),
  };

  /* Clocks. The constructor is wrapped, not subclassed: Date() without `new` must keep working and instances must stay plain dates. */
  RealDate.now = function now_() {
    return Math.floor(now);
  };
  var VirtualDate = new Proxy(RealDate, {
    construct: function (target, args, newTarget) {
      return Reflect.construct(target, args.length ? args : [RealDate.now()], newTarget);
    },
    apply: function () {
      return new RealDate(RealDate.now()).toString();
    },
  });
  RealDate.prototype.constructor = VirtualDate;
  Object.defineProperty(window, "Date", { configurable: true, writable: true, value: VirtualDate });
  Object.defineProperty(window.performance, "now", {
    configurable: true,
    writable: true,
    value: function () {
      return now;
    },
  });
  if (typeof window.Temporal === "object") {
    var clock = window.Temporal.Now;
    var instant = function () {
      return window.Temporal.Instant.fromEpochMilliseconds(RealDate.now());
    };
    var zoned = function (zone) {
      return instant().toZonedDateTimeISO(zone === undefined ? clock.timeZoneId() : zone);
    };
    Object.assign(clock, {
      instant: instant,
      zonedDateTimeISO: zoned,
      plainDateTimeISO: function (zone) {
        return zoned(zone).toPlainDateTime();
      },
      plainDateISO: function (zone) {
        return zoned(zone).toPlainDate();
      },
      plainTimeISO: function (zone) {
        return zoned(zone).toPlainTime();
      },
    });
  }

  /* Randomness: one 32-bit xorshift-multiply stream, seeded anew from the time of every seek, so that it does not know which frame came before. */
  var state = 1;
  function seed() {
    state = (Math.imul(Math.round(now * 1000) | 0, 0x9e3779b1) ^ 0x5bd1e995) | 0 || 1;
  }
  function word() {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    var mixed = Math.imul(state ^ (state >>> 16), 0x45d9f3b);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  }
  Math.random = function random() {
    return word() / 4294967296;
  };
  if (window.crypto) {
    window.crypto.getRandomValues = function getRandomValues(array) {
      var bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      for (var i = 0; i < bytes.length; i++) bytes[i] = word() >>> 24;
      return array;
    };
    window.crypto.randomUUID = function randomUUID() {
      var bytes = window.crypto.getRandomValues(new Uint8Array(16));
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      var hex = Array.from(bytes, function (byte) {
        return byte.toString(16).padStart(2, "0");
      }).join("");
      return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
    };
  }
  seed();

  /* Animation frames: what is queued runs once at the next flush, with the time of the seek. What it queues waits for the flush after that. */
  var lastHandle = 0;
  var queue = new Map();
  var running = null;
  var errors = [];
  window.requestAnimationFrame = function requestAnimationFrame(callback) {
    if (typeof callback !== "function") throw new TypeError("requestAnimationFrame: the argument is not a function");
    lastHandle += 1;
    queue.set(lastHandle, callback);
    return lastHandle;
  };
  window.cancelAnimationFrame = function cancelAnimationFrame(handle) {
    queue.delete(handle);
    if (running) running.delete(handle);
  };
  function flush() {
    running = queue;
    queue = new Map();
    running.forEach(function (callback) {
      try {
        callback.call(window, now);
      } catch (error) {
        errors.push(error && error.stack ? String(error.stack) : String(error));
      }
    });
    running = null;
  }

  function setTime(milliseconds) {
    now = Math.max(0, Number(milliseconds) || 0);
    seed();
    tuneGsap();
  }

  /*
   * GSAP, where the page uses it: a jump in time is a seek, not a stutter to be smoothed over, and a movement in the plane is written as one
   * (see "one layer" in bridge.js). Listening to the script's load event reaches it before the next script can build a timeline.
   */
  var tuned;
  function tuneGsap() {
    var gsap = window.gsap;
    if (!gsap || gsap === tuned || typeof gsap.config !== "function" || !gsap.ticker) return;
    tuned = gsap;
    gsap.config({ force3D: false });
    gsap.ticker.lagSmoothing(0);
  }
  document.addEventListener("load", tuneGsap, true);

  /* Shadow trees, closed ones included: whoever drives the animations of a page has no other way to reach those inside. */
  var shadowTrees = new Set();
  var attachShadow = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function () {
    var tree = attachShadow.apply(this, arguments);
    shadowTrees.add(tree);
    return tree;
  };
  /* Those written as <template shadowrootmode> are made by the parser. */
  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("*").forEach(function (element) {
      if (element.shadowRoot) shadowTrees.add(element.shadowRoot);
    });
  });

  window.__HF_VIRTUAL_TIME__ = {
    originalSetTimeout: real.setTimeout,
    originalClearTimeout: real.clearTimeout,
    originalSetInterval: real.setInterval,
    originalClearInterval: real.clearInterval,
    originalRequestAnimationFrame: real.requestAnimationFrame,
    originalCancelAnimationFrame: real.cancelAnimationFrame,
    originalPerformanceNow: real.performanceNow,
    /* The clocks alone: what a timeline's callbacks read while it is being seeked is already the new time. */
    setTime: setTime,
    flush: flush,
    seekToTime: function (milliseconds) {
      setTime(milliseconds);
      flush();
      return now;
    },
    getTime: function () {
      return now;
    },
    takeErrors: function () {
      return errors.splice(0);
    },
    shadowTrees: function () {
      return Array.from(shadowTrees).filter(function (tree) {
        return tree.isConnected;
      });
    },
  };
})();
