/*
 * The bridge: last in the <body> of the entry page. It offers the page protocol (window.__hf = {duration, seek}) on top of the HyperFrames
 * runtime's player, brings what the runtime does not drive to the same moment (child frames, CSS animations that came into being later, CSS
 * transitions, SVG animations), and gives the engine its two questions: __HF_ENGINE__.state() and __HF_ENGINE__.frame(seconds).
 *
 * A page that has its own window.__hf = {duration, seek} is driven through that; its clocks follow, its animations are its own business.
 */
(function () {
  "use strict";
  var swallowed = [];

  function player() {
    var candidate = window.__player;
    return candidate && typeof candidate.renderSeek === "function" && typeof candidate.getDuration === "function" ? candidate : null;
  }

  function ownsProtocol(hf) {
    return Boolean(hf) && typeof hf.seek === "function" && "duration" in hf;
  }

  var bridged = null;
  if (!ownsProtocol(window.__hf)) {
    bridged = window.__hf || {};
    Object.defineProperty(bridged, "duration", {
      configurable: true,
      enumerable: true,
      get: function () {
        var current = player();
        if (!current || !window.__renderReady || window.__hfTimelinesBuilding) return 0;
        var seconds = current.getDuration();
        return seconds > 0 ? seconds : declaredDuration();
      },
    });
    bridged.seek = seekComposition;
    /* The runtime keeps going when a timeline's callback throws, and says so here only. */
    bridged.onSwallowed = function (report) {
      if (/^runtime\.init\.transport\./.test(report.label)) swallowed.push(describe(report.error));
    };
    window.__hf = bridged;
  }

  function declaredDuration() {
    var root = document.querySelector("[data-composition-id]");
    return (root && Number(root.getAttribute("data-duration"))) || 0;
  }

  function describe(error) {
    return error && error.stack ? String(error.stack) : String(error);
  }

  /* The page and every same-origin frame below it, outermost first. */
  function windows() {
    var found = [window];
    for (var i = 0; i < found.length; i++) {
      for (var k = 0; k < found[i].frames.length; k++) {
        try {
          if (found[i].frames[k].document) found.push(found[i].frames[k]);
        } catch (error) {
          if (error.name !== "SecurityError") throw error; // another origin's frame: not ours to drive
        }
      }
    }
    return found;
  }

  function setClocks(seconds) {
    windows().forEach(function (view) {
      if (view.__HF_VIRTUAL_TIME__) view.__HF_VIRTUAL_TIME__.setTime(seconds * 1000);
    });
  }

  function flushAnimationFrames() {
    windows().forEach(function (view) {
      if (view.__HF_VIRTUAL_TIME__) view.__HF_VIRTUAL_TIME__.flush();
    });
  }

  function seekComposition(time, options) {
    var seconds = Math.max(0, Number(time) || 0);
    var current = player();
    var views = windows();
    restoreTransforms();
    setClocks(seconds);
    if (current) current.renderSeek(seconds, options);
    views.slice(1).forEach(function (view) {
      syncAnimations(view, seconds);
    });
    flushAnimationFrames();
    if (current && fallbackLeft()) current.renderSeek(seconds, { suppressEvents: true });
    views.forEach(function (view) {
      syncAnimations(view, seconds);
      keepOneLayer(view);
    });
  }

  /*
   * The runtime moves a CSS animation that it did not find at the start by a negative inline delay, takes it back at the end of a seek, and
   * sets it again in its animation frame. Seeking once more takes it back, so that the author's own delay counts.
   */
  function fallbackLeft() {
    return document.getAnimations().some(function (animation) {
      var target = animation instanceof CSSAnimation && animation.effect && animation.effect.target;
      return target && target.style && target.style.animationPlayState === "paused";
    });
  }

  /*
   * CSS animations take their time from the clip they stand in: zero when it starts. The runtime does this for the ones that exist when it
   * looks; an animation that is born later (an element that was not displayed, a class set by a script) would otherwise begin at whichever
   * frame a chunk happens to show first. A transition has no place on the timeline at all: it is over as soon as it begins.
   * Script-made animations of the entry page stay with the runtime; those of child frames begin at zero.
   */
  function syncAnimations(view, seconds) {
    var animations = view.document.getAnimations();
    var owned = new Map();
    for (var i = 0; i < animations.length; i++) {
      var animation = animations[i];
      var target = animation.effect && animation.effect.target;
      if (animation instanceof view.CSSTransition) {
        animation.finish();
      } else if (animation instanceof view.CSSAnimation) {
        if (takeOwned(owned, view, animation)) setAnimationTime(animation, Math.max(0, seconds - clipStart(target)) * 1000);
        else animation.cancel();
      } else if (view !== window) {
        setAnimationTime(animation, seconds * 1000);
      }
    }
    if (!view.document.querySelector("animate, animateTransform, animateMotion, set")) return;
    view.document.querySelectorAll("svg").forEach(function (svg) {
      if (svg.ownerSVGElement) return;
      svg.pauseAnimations();
      svg.setCurrentTime(Math.max(0, seconds - clipStart(svg)));
    });
  }

  /*
   * Whether the element still has this animation by its style. One that ended because its element was not displayed comes back to life when
   * the runtime sets its time, beside the one that the style has begun anew; those of the style come first in the list.
   */
  function takeOwned(owned, view, animation) {
    var key = animation.effect.pseudoElement || "";
    var byPseudo = owned.get(animation.effect.target) || new Map();
    owned.set(animation.effect.target, byPseudo);
    if (!byPseudo.has(key)) byPseudo.set(key, view.getComputedStyle(animation.effect.target, key || null).animationName.split(", "));
    var names = byPseudo.get(key);
    var index = names.indexOf(animation.animationName);
    if (index < 0) return false;
    names.splice(index, 1);
    return true;
  }

  function setAnimationTime(animation, milliseconds) {
    if (animation.playState !== "paused") animation.pause();
    animation.currentTime = milliseconds;
  }

  /*
   * One layer. An element that Chromium puts into a layer of its own (will-change, a running animation, a transform written with 3D functions)
   * keeps the scale and the subpixel shift it was first rastered with, and its edges show what lay in that memory before: the same moment
   * would look different by a few pixels in every chunk. `will-change: contents` on the root switches the first two off below it. A transform
   * that is written in 3D and moves in the plane is replaced by its 2D matrix until the next seek. What is truly three-dimensional keeps its
   * layer.
   */
  var replaced = [];
  var IN_SPACE = /3d\(|translateZ\(/;
  var spatialRules = new WeakMap();
  var spatialAnimations = new WeakMap();

  function keepOneLayer(view) {
    var root = view.document.documentElement;
    if (root.style.getPropertyPriority("will-change") !== "important") root.style.setProperty("will-change", "contents", "important");
    var selector = '[style*="3d("], [style*="translateZ("]';
    view.document.querySelectorAll(selectorsOf3DRules(view.document).concat(selector).join(", ")).forEach(flatten);
    view.document.getAnimations().forEach(function (animation) {
      if (animation.effect && animation.effect.target && !animation.effect.pseudoElement && is3DAnimation(animation)) {
        flatten(animation.effect.target);
      }
    });
  }

  function flatten(element) {
    if (!element.style) return;
    var matrix = element.ownerDocument.defaultView.getComputedStyle(element).transform;
    if (!matrix.startsWith("matrix(")) return;
    replaced.push([element, element.style.getPropertyValue("transform"), element.style.getPropertyPriority("transform")]);
    element.style.setProperty("transform", matrix, "important");
  }

  function restoreTransforms() {
    replaced.splice(0).forEach(function (entry) {
      entry[0].style.setProperty("transform", entry[1], entry[2]);
    });
  }

  function selectorsOf3DRules(page) {
    var selectors = [];
    for (var i = 0; i < page.styleSheets.length; i++) {
      var sheet = page.styleSheets[i];
      var known = spatialRules.get(sheet);
      if (!known || known.length !== sheet.cssRules.length) {
        known = { length: sheet.cssRules.length, selectors: collectSelectors(sheet.cssRules) };
        spatialRules.set(sheet, known);
      }
      selectors = selectors.concat(known.selectors);
    }
    return selectors;
  }

  function collectSelectors(rules) {
    var selectors = [];
    Array.prototype.forEach.call(rules, function (rule) {
      if (rule.selectorText && IN_SPACE.test(rule.style.transform) && !rule.selectorText.includes("::")) selectors.push(rule.selectorText);
      if (rule.cssRules && !(rule instanceof CSSKeyframesRule)) selectors = selectors.concat(collectSelectors(rule.cssRules));
    });
    return selectors;
  }

  /* Between lists of different functions the browser interpolates a 3D matrix, even if both ends are flat. */
  function is3DAnimation(animation) {
    if (!spatialAnimations.has(animation)) {
      var shapes = animation.effect.getKeyframes().map(function (keyframe) {
        return keyframe.transform === undefined || keyframe.transform === "none" ? null : keyframe.transform.replace(/\([^)]*\)/g, "()");
      });
      var written = shapes.filter(Boolean);
      var spatial = animation.effect.getKeyframes().some(function (keyframe) {
        return IN_SPACE.test(keyframe.transform || "");
      });
      spatialAnimations.set(animation, written.length > 0 && (spatial || new Set(written).size > 1));
    }
    return spatialAnimations.get(animation);
  }

  /* A name may hold a minus: what can be a name as a whole is one. */
  var REFERENCE = /^(?:([\w.:-]+)|([\w.:-]+?)\s*([+-])\s*(\d*\.?\d+))$/;

  function clipStart(element) {
    var clip = element ? element.closest("[data-start]") : null;
    return clip ? startOf(clip, new Set()) : 0;
  }

  /* `data-start` in seconds from the beginning of the whole: a number counts from the composition around it, `ID`, `ID + n` and `ID - n`
     from the end of that clip, with or without blanks. An unknown reference counts as 0, and so does, where a circle closes, the clip that
     is being asked for: a clip that follows itself starts after its own length, as the runtime has it. */
  function startOf(element, visiting) {
    if (visiting.has(element)) return 0;
    visiting.add(element);
    var text = (element.getAttribute("data-start") || "").trim();
    var start = 0;
    if (text !== "" && isFinite(Number(text))) {
      var host = element.hasAttribute("data-composition-id") ? element.parentElement : element;
      var composition = host && host.closest("[data-composition-id]");
      start = (composition ? startOf(composition, visiting) : 0) + Math.max(0, Number(text));
    } else if (text !== "") {
      var parts = REFERENCE.exec(text) || [];
      var name = parts[1] || parts[2] || "";
      var reference = document.getElementById(name) || document.querySelector('[data-composition-id="' + CSS.escape(name) + '"]');
      start = reference ? startOf(reference, visiting) + lengthOf(reference) + Number((parts[3] || "+") + (parts[4] || 0)) : 0;
    } else if (element.parentElement && element.hasAttribute("data-composition-id")) {
      var outer = element.parentElement.closest("[data-composition-id], [data-composition-src], [data-composition-file]");
      start = outer === element.parentElement ? startOf(outer, visiting) : 0;
    }
    visiting.delete(element);
    return Math.max(0, start);
  }

  function lengthOf(element) {
    var duration = Number(element.getAttribute("data-duration") || element.getAttribute("data-hf-authored-duration"));
    if (duration > 0) return duration;
    var end = Number(element.getAttribute("data-end") || element.getAttribute("data-hf-authored-end"));
    if (end > 0) return Math.max(0, end - startOf(element, new Set()));
    var timeline = (window.__timelines || {})[element.getAttribute("data-composition-id")];
    return timeline && typeof timeline.duration === "function" ? Number(timeline.duration()) || 0 : 0;
  }

  /* Everything that readiness is judged by, as plain data. */
  function state() {
    var hf = window.__hf;
    var own = ownsProtocol(hf) && hf !== bridged;
    var compositions = Array.from(document.querySelectorAll("[data-composition-id]"));
    var media = [];
    var pendingImages = [];
    windows().forEach(function (view) {
      view.document.querySelectorAll("video, audio").forEach(function (element) {
        var source = element.getAttribute("src") || (element.querySelector("source[src]") || element).getAttribute("src");
        media.push({ tag: element.localName, id: element.id, src: source || element.getAttribute("data-var-src") || "" });
      });
      Array.prototype.forEach.call(view.document.images, function (image) {
        if (image.getAttribute("src") && !image.complete) pendingImages.push(image.currentSrc || image.src);
      });
    });
    return {
      loaded: document.readyState === "complete",
      parsed: document.readyState !== "loading",
      own: own,
      seekable: own || player() !== null,
      settled: own || Boolean(window.__renderReady),
      duration: String(hf && hf.duration),
      compositions: compositions.map(function (element) {
        return element.getAttribute("data-composition-id");
      }),
      missing: own ? [] : compositions.filter(lacksTimeline).map(function (element) {
        return element.getAttribute("data-composition-id");
      }),
      registered: Object.keys(window.__timelines || {}),
      media: media,
      pendingImages: pendingImages,
      fontsLoading: windows().some(function (view) {
        return view.document.fonts.status === "loading";
      }),
      errors: takeErrors(),
    };
  }

  function lacksTimeline(element) {
    return !element.hasAttribute("data-no-timeline") && !(window.__timelines || {})[element.getAttribute("data-composition-id")];
  }

  function takeErrors() {
    var errors = swallowed.splice(0);
    windows().forEach(function (view) {
      if (view.__HF_VIRTUAL_TIME__) errors.push.apply(errors, view.__HF_VIRTUAL_TIME__.takeErrors());
    });
    return errors;
  }

  /* Bring the page to `seconds` and wait for what the seek has set off. Layout is forced at the end, so that whatever the new styles need
     (a background, a font) has been asked for by the time this returns. Resolves with the errors that callbacks threw. */
  async function frame(seconds) {
    var hf = window.__hf;
    var own = hf !== bridged;
    if (own) setClocks(seconds);
    await hf.seek(seconds);
    if (own) flushAnimationFrames();
    if (typeof window.__hfWaitForSeekCompletion === "function") await window.__hfWaitForSeekCompletion();
    var grading = window.__hf.colorGrading;
    if (grading && typeof grading.waitForActiveLuts === "function") await grading.waitForActiveLuts();
    await settle();
    return takeErrors();
  }

  /* Images and fonts. Image decoding is left to the compositor, which waits for it when checker-imaging is off: HTMLImageElement.decode()
     would wait for a frame that nobody has asked for yet. */
  async function settle() {
    var views = windows();
    for (var i = 0; i < views.length; i++) {
      var page = views[i].document;
      if (page.documentElement) page.documentElement.getBoundingClientRect();
      for (var k = 0; k < page.images.length; k++) {
        if (!page.images[k].complete && page.images[k].getAttribute("src")) await loaded(page.images[k]);
      }
      if (page.fonts.status === "loading") await page.fonts.ready;
    }
  }

  function loaded(image) {
    image.loading = "eager";
    return new Promise(function (resolve) {
      image.addEventListener("load", resolve, { once: true });
      image.addEventListener("error", resolve, { once: true });
      if (image.complete) resolve();
    });
  }

  window.__HF_ENGINE__ = { state: state, frame: frame, settle: settle, flush: flushAnimationFrames };
})();
