/*
 * The bridge: last in the <body> of the entry page. It offers the page protocol (window.__hf = {duration, seek}) on top of the HyperFrames
 * runtime's player, brings what the runtime does not drive to the same moment (child frames, CSS animations that came into being later, CSS
 * transitions, SVG animations), and answers the engine: __HF_ENGINE__.state(), .frame(seconds, pictures), .media() and the like.
 *
 * A page that has its own window.__hf = {duration, seek} is driven through that; its clocks follow, its animations are its own business.
 */
(function () {
  "use strict";
  var SLOWEST_RATE = 0.1;
  var FASTEST_RATE = 10;
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
    adoptLottie();
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

  /* The runtime looks for Lottie animations until it is ready; one whose data came after that would stand still. */
  function adoptLottie() {
    var lottie = window.lottie;
    if (!lottie || typeof lottie.getRegisteredAnimations !== "function") return;
    var known = window.__hfLottie || (window.__hfLottie = []);
    lottie.getRegisteredAnimations().forEach(function (animation) {
      if (!known.includes(animation)) known.push(animation);
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
   * Script-made animations of the entry page stay with the runtime; those of child frames and of shadow trees begin at zero.
   */
  function syncAnimations(view, seconds) {
    trees(view).forEach(function (tree) {
      syncTree(view, tree, seconds);
    });
  }

  function syncTree(view, tree, seconds) {
    var animations = timed(view, tree);
    var owned = new Map();
    for (var i = 0; i < animations.length; i++) {
      var animation = animations[i];
      var target = animation.effect && animation.effect.target;
      if (animation instanceof view.CSSTransition) {
        animation.finish();
      } else if (animation instanceof view.CSSAnimation) {
        if (takeOwned(owned, view, animation)) setAnimationTime(animation, Math.max(0, seconds - clipStart(target)) * 1000);
        else animation.cancel();
      } else if (tree !== document) {
        setAnimationTime(animation, seconds * 1000);
      }
    }
    if (!tree.querySelector("animate, animateTransform, animateMotion, set")) return;
    tree.querySelectorAll("svg").forEach(function (svg) {
      if (svg.ownerSVGElement) return;
      svg.pauseAnimations();
      svg.setCurrentTime(Math.max(0, seconds - clipStart(svg)));
    });
  }

  /* The document and its shadow trees: neither a query nor the list of animations of the one shows what is in the other. */
  function trees(view) {
    var clock = view.__HF_VIRTUAL_TIME__;
    return [view.document].concat(clock ? clock.shadowTrees() : []);
  }

  /* The animations that time drives. Those that a scroller drives are left to it; the runtime has stopped them. */
  function timed(view, tree) {
    return tree.getAnimations().filter(function (animation) {
      if (animation.timeline === view.document.timeline) return true;
      if (animation.timeline && animation.playState === "paused") animation.play();
      return false;
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
    trees(view).forEach(function (tree) {
      tree.querySelectorAll(selectorsOf3DRules(tree).concat(selector).join(", ")).forEach(flatten);
      tree.getAnimations().forEach(function (animation) {
        if (animation.effect && animation.effect.target && !animation.effect.pseudoElement && is3DAnimation(animation)) {
          flatten(animation.effect.target);
        }
      });
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
      var rules = readableRules(sheet);
      var known = spatialRules.get(sheet);
      if (!known || known.length !== rules.length) {
        known = { length: rules.length, selectors: collectSelectors(rules) };
        spatialRules.set(sheet, known);
      }
      selectors = selectors.concat(known.selectors);
    }
    return selectors;
  }

  /* A sheet of another origin keeps its rules to itself. */
  function readableRules(sheet) {
    try {
      return sheet.cssRules;
    } catch (error) {
      if (error.name !== "SecurityError") throw error;
      return [];
    }
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
    for (var place = element; place; place = place.getRootNode().host) {
      var clip = place.closest("[data-start]");
      if (clip) return startOf(clip, new Set());
    }
    return 0;
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
      start = (composition ? startOf(composition, visiting) - inPoint(composition) : 0) + Math.max(0, Number(text));
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

  function authoredLength(element) {
    var duration = Number(element.getAttribute("data-duration") || element.getAttribute("data-hf-authored-duration"));
    if (duration > 0) return duration;
    var end = Number(element.getAttribute("data-end") || element.getAttribute("data-hf-authored-end"));
    return end > 0 ? Math.max(0, end - startOf(element, new Set())) : 0;
  }

  function lengthOf(element) {
    var authored = authoredLength(element);
    if (authored > 0) return authored;
    if (element.matches("video, audio") && element.duration > 0) return (element.duration - inPoint(element)) / playbackRate(element);
    var timeline = (window.__timelines || {})[element.getAttribute("data-composition-id")];
    return timeline && typeof timeline.duration === "function" ? Number(timeline.duration()) || 0 : 0;
  }

  /* Everything that readiness is judged by, as plain data. */
  function state() {
    var hf = window.__hf;
    var own = ownsProtocol(hf) && hf !== bridged;
    var compositions = Array.from(document.querySelectorAll("[data-composition-id]"));
    var pendingImages = [];
    windows().forEach(function (view) {
      images(view).forEach(function (image) {
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
      unknownMedia: unknownMedia(),
      pendingImages: pendingImages,
      fontsLoading: windows().some(function (view) {
        return view.document.fonts.status === "loading";
      }),
      errors: takeErrors(),
    };
  }

  /*
   * Source video and sound, in the page and its frames. An element keeps the number under which it was listed first.
   */
  var listed = [];

  function mediaElements() {
    return windows().flatMap(function (view) {
      return view.__HF_MEDIA__ ? view.__HF_MEDIA__.elements() : [];
    });
  }

  function helpers(element) {
    return element.ownerDocument.defaultView;
  }

  function sourceOf(element) {
    return helpers(element).__HF_MEDIA__.sourceOf(element);
  }

  function pageOf(element) {
    return decodeURIComponent(element.ownerDocument.location.pathname.slice(1));
  }

  /* Files that the engine has yet to look into, with the element that wants them. */
  function unknownMedia() {
    return mediaElements()
      .filter(function (element) {
        return sourceOf(element) && !helpers(element).__HF_MEDIA__.knows(sourceOf(element));
      })
      .map(function (element) {
        return { url: sourceOf(element), tag: element.localName, id: element.id, page: pageOf(element) };
      });
  }

  function learn(url, facts) {
    windows().forEach(function (view) {
      if (view.__HF_MEDIA__) view.__HF_MEDIA__.learn(url, facts);
    });
  }

  function media() {
    mediaElements().forEach(function (element) {
      var old = listed.some(function (entry) {
        return entry.element === element;
      });
      if (!old && sourceOf(element)) listed.push({ element: element, source: sourceOf(element) });
    });
    return listed.map(function (entry, index) {
      return Object.assign({ index: index }, describeMedia(entry.element));
    });
  }

  function describeMedia(element) {
    var seconds = mediaWindow(element);
    return {
      tag: element.localName,
      id: element.id,
      src: sourceOf(element),
      page: pageOf(element),
      /* Nobody hides an ended clip where there is no runtime. */
      held: helpers(element) !== window || window.__hf !== bridged || !element.isConnected,
      start: seconds.start,
      end: seconds.end,
      limit: seconds.limit,
      head: seconds.head,
      mediaStart: inPoint(element),
      rate: playbackRate(element),
      loop: element.loop,
      hasAudio: element.getAttribute("data-has-audio"),
      hidden: element.closest("[data-hidden]") !== null,
      sound: helpers(element).__HF_SOUND__.describe(element),
    };
  }

  /* Elements with a source that came, or got another one, after `media` was asked. */
  function strayMedia() {
    return mediaElements()
      .filter(function (element) {
        var source = sourceOf(element);
        return source && !listed.some(function (entry) {
          return entry.element === element && entry.source === source;
        });
      })
      .map(function (element) {
        return { url: sourceOf(element), tag: element.localName, id: element.id, page: pageOf(element) };
      });
  }

  function volumes() {
    return listed.map(function (entry) {
      return helpers(entry.element).__HF_SOUND__.volume(entry.element);
    });
  }

  function showPictures(pictures) {
    return Promise.all(
      windows().map(function (view) {
        if (!view.__HF_MEDIA__) return null;
        var own = pictures.filter(function (picture) {
          return helpers(listed[picture[0]].element) === view;
        });
        return view.__HF_MEDIA__.show(own.map(function (picture) {
          return [listed[picture[0]].element, picture[1], picture[2]];
        }));
      })
    );
  }

  /* When an element plays, and what of its file. `end` is null where only the file's length ends it; `limit` is the end of the compositions
     around it. A composition that begins inside itself (an in-point on its host) cuts off what would have been before: `head` seconds. */
  function mediaWindow(element) {
    var head = 0;
    var text = (element.getAttribute("data-start") || "").trim();
    var origin = originOf(element.closest("[data-composition-id]"));
    var start = text !== "" && isFinite(Number(text)) ? origin + Math.max(0, Number(text)) : text ? startOf(element, new Set()) : origin;
    var end = null;
    var duration = element.getAttribute("data-duration");
    var authoredEnd = element.getAttribute("data-end");
    if (isNumber(duration)) end = start + Math.max(0, Number(duration));
    else if (isNumber(authoredEnd)) end = Math.max(start, origin + Number(authoredEnd));
    var limit = null;
    hostsOf(element).forEach(function (host) {
      var hostStart = startOf(host, new Set());
      var hostEnd = hostStart + authoredLength(host);
      if (authoredLength(host) > 0) limit = limit === null ? hostEnd : Math.min(limit, hostEnd);
      if (inPoint(host) > 0 && start < hostStart) {
        if (!element.loop) head += hostStart - start;
        start = hostStart;
      }
    });
    return { start: start, end: end, limit: limit, head: head };
  }

  /* The compositions around it but for the root. */
  function hostsOf(element) {
    var hosts = [];
    var selector = "[data-composition-id], [data-composition-src], [data-composition-file]";
    for (var place = element.parentElement; place; place = place.parentElement) if (place.matches(selector)) hosts.push(place);
    var root = hosts[hosts.length - 1];
    return root && !root.matches("[data-composition-src], [data-composition-file]") ? hosts.slice(0, -1) : hosts;
  }

  function originOf(composition) {
    return composition ? startOf(composition, new Set()) - inPoint(composition) : 0;
  }

  function isNumber(text) {
    return text !== null && text.trim() !== "" && isFinite(Number(text));
  }

  function inPoint(element) {
    var found = ["data-playback-start", "data-media-start"]
      .map(function (name) {
        return element.getAttribute(name);
      })
      .find(function (text) {
        return isNumber(text) && Number(text) >= 0;
      });
    return found === undefined ? 0 : Number(found);
  }

  function playbackRate(element) {
    var rate = parseFloat(element.getAttribute("data-playback-rate"));
    return rate > 0 && isFinite(rate) ? Math.max(SLOWEST_RATE, Math.min(FASTEST_RATE, rate)) : 1;
  }

  /* A sub-composition says on its own root that it has no timeline; mounted, the root stands in its host and has no id any more. */
  function lacksTimeline(element) {
    if (element.matches("[data-no-timeline]") || element.querySelector(":scope > [data-no-timeline]:not([data-composition-id])")) return false;
    return !(window.__timelines || {})[element.getAttribute("data-composition-id")];
  }

  function takeErrors() {
    var errors = swallowed.splice(0);
    windows().forEach(function (view) {
      if (view.__HF_VIRTUAL_TIME__) errors.push.apply(errors, view.__HF_VIRTUAL_TIME__.takeErrors());
    });
    return errors;
  }

  /* Bring the page to `seconds` and wait for what the seek has set off. Layout is forced at the end, so that whatever the new styles need
     (a background, a font) has been asked for by the time this returns. `pictures` is [[index, URL, source time], …] of the source videos
     that show something: scripts may draw from them during the seek. Resolves with the errors that callbacks threw. */
  async function frame(seconds, pictures) {
    var hf = window.__hf;
    await showPictures(pictures || []);
    var own = hf !== bridged;
    if (own) setClocks(seconds);
    await hf.seek(seconds);
    if (own) flushAnimationFrames();
    if (typeof window.__hfWaitForSeekCompletion === "function") await window.__hfWaitForSeekCompletion();
    var grading = window.__hf.colorGrading;
    if (grading && typeof grading.waitForActiveLuts === "function") await grading.waitForActiveLuts();
    await settle();
    windows().forEach(advanceAnimatedImages);
    return takeErrors();
  }

  /*
   * An animated image moves on when something else on the page makes the compositor draw anew, and in a page that stands still otherwise
   * never. A property that shows nothing is changed in a page that has loaded a file of a kind that can be animated.
   */
  function advanceAnimatedImages(view) {
    if (!view.document.body) return;
    var files = view.performance.getEntriesByType("resource").map(function (entry) {
      return entry.name;
    });
    var inline = images(view).map(function (image) {
      return image.src;
    });
    if (!files.concat(inline).some(isAnimatable)) return;
    var style = view.document.body.style;
    style.columnRuleColor = style.columnRuleColor === "black" ? "white" : "black";
  }

  function isAnimatable(address) {
    return /^data:image\/(gif|webp|apng|avif)|^(?!data:)[^?#]*\.(gif|webp|apng|avif)([?#]|$)/.test(address);
  }

  /* Every <img> of a document and its shadow trees. */
  function images(view) {
    return trees(view).reduce(function (found, tree) {
      return found.concat(Array.from(tree === view.document ? tree.images : tree.querySelectorAll("img")));
    }, []);
  }

  /* Images and fonts. Image decoding is left to the compositor, which waits for it when checker-imaging is off: HTMLImageElement.decode()
     would wait for a frame that nobody has asked for yet. */
  async function settle() {
    var views = windows();
    for (var i = 0; i < views.length; i++) {
      var page = views[i].document;
      if (page.documentElement) page.documentElement.getBoundingClientRect();
      var shown = images(views[i]);
      for (var k = 0; k < shown.length; k++) {
        if (!shown[k].complete && shown[k].getAttribute("src")) await loaded(shown[k]);
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

  window.__HF_ENGINE__ = {
    state: state,
    frame: frame,
    settle: settle,
    flush: flushAnimationFrames,
    media: media,
    learn: learn,
    volumes: volumes,
    strayMedia: strayMedia,
  };
})();
