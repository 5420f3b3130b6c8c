/*
 * Source video and sound. Runs in the <head> of every HTML file, before any script of the composition.
 *
 * The browser loads and plays no media file: its pictures would depend on decoding speed and on the codecs that it was built with. The engine
 * reads the files, reports their facts to this script (learn) and chooses the picture that each <video> shows after a seek (show). A picture
 * is shown as the element's poster, so that the author's box, object-fit, corners, masks, filters and transforms apply to it. Scripts that
 * read from an element, or draw it on a canvas, get the same picture.
 */
(() => {
  "use strict";
  if (window.__HF_MEDIA__) return;
  const KEY = "__hf_media__";
  const { HAVE_NOTHING, HAVE_ENOUGH_DATA, NETWORK_EMPTY, NETWORK_IDLE, NETWORK_LOADING } = HTMLMediaElement;
  const SELECTOR = "video, audio";
  const facts = new Map();
  const detached = new Set();
  const blanks = new Map();
  const isTop = window === window.top;

  const isMedia = (node) => node?.nodeType === 1 && (node.localName === "video" || node.localName === "audio");

  /* The state of one element: the source that its events were sent for, its clock and the picture that it shows. */
  function stateOf(element) {
    if (!element[KEY]) {
      const fresh = { announced: "", time: 0, paused: true, image: null, picture: "", callbacks: new Map(), lastCallback: 0 };
      Object.defineProperty(element, KEY, { value: fresh });
    }
    return element[KEY];
  }

  /* Absolute URL of the element's source: its own src, else the first <source> that is a file of the project, else the first <source>. */
  function sourceOf(element) {
    const own = element.getAttribute("src");
    if (own) return absolute(own);
    const all = Array.from(element.querySelectorAll("source[src]"), (source) => source.getAttribute("src")).filter(Boolean);
    return all.length ? absolute(all.find((url) => !/^https?:\/\//i.test(url)) || all[0]) : "";
  }

  function absolute(url) {
    try {
      return new URL(url, document.baseURI).href;
    } catch {
      return url; // not a URL; the engine reports it with the element's name
    }
  }

  const factsOf = (element) => facts.get(sourceOf(element));

  /* An element without data-start becomes a clip that starts at zero, because the runtime drives only clips. Player controls are removed. */
  function adopt(element) {
    stateOf(element);
    if (element.localName === "video" && element.controls) element.controls = false;
    if (isTop && element.isConnected && !element.hasAttribute("data-start") && sourceOf(element)) element.setAttribute("data-start", "0");
    announce(element);
  }

  function announce(element) {
    const state = stateOf(element);
    const url = sourceOf(element);
    if (!facts.get(url) || state.announced === url) return;
    state.announced = url;
    showNothing(element);
    dispatch(element, ["loadstart", "durationchange", "loadedmetadata", "loadeddata", "canplay", "canplaythrough"]);
  }

  function dispatch(element, types) {
    for (const type of types) element.dispatchEvent(new Event(type));
  }

  new MutationObserver((records) => {
    for (const { target, addedNodes } of records) {
      if (isMedia(target)) adopt(target);
      else if (target.localName === "source" && isMedia(target.parentNode)) adopt(target.parentNode);
      for (const node of addedNodes) {
        if (node.nodeType !== 1) continue;
        if (isMedia(node)) adopt(node);
        node.querySelectorAll(SELECTOR).forEach(adopt);
      }
    }
  }).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });

  /* A detached <video> can still be a texture. The sound of a detached element is not part of the timeline. */
  const createElement = Document.prototype.createElement;
  Document.prototype.createElement = function (...args) {
    const element = createElement.apply(this, args);
    if (isMedia(element)) {
      silenceNative(element);
      if (element.localName === "video") detached.add(element);
      new MutationObserver(() => {
        if (!element.isConnected) adopt(element);
      }).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
    }
    return element;
  };

  /* In document order, then those in shadow trees, which neither observers nor queries of the document reach, then the detached ones. */
  function elements() {
    const trees = [document, ...(window.__HF_VIRTUAL_TIME__?.shadowTrees() ?? [])];
    const textures = Array.from(detached).filter((element) => !element.isConnected && sourceOf(element));
    return trees.flatMap((tree) => Array.from(tree.querySelectorAll(SELECTOR))).concat(textures);
  }

  /* The browser's own events describe a load that never succeeds. */
  const NATIVE = [
    ...["abort", "canplay", "canplaythrough", "durationchange", "emptied", "ended", "error", "loadeddata", "loadedmetadata", "loadstart"],
    ...["pause", "play", "playing", "progress", "seeked", "seeking", "stalled", "suspend", "timeupdate", "waiting"],
  ];
  function silenceNative(target) {
    for (const type of NATIVE) target.addEventListener(type, dropNative, true);
  }
  function dropNative(event) {
    const target = event.target;
    const concerned = isMedia(target) || (target?.localName === "source" && isMedia(target.parentNode));
    if (event.isTrusted && concerned) event.stopImmediatePropagation();
  }
  silenceNative(window);

  /* The properties and methods that scripts see. */
  function define(prototype, properties) {
    for (const [name, ours] of Object.entries(properties)) {
      const native = Object.getOwnPropertyDescriptor(prototype, name);
      if (!native) continue;
      const descriptor = native.get ? { get: ours.get, set: ours.set || native.set } : { writable: true, value: ours.value };
      Object.defineProperty(prototype, name, { configurable: true, enumerable: native.enumerable, ...descriptor });
    }
  }

  /* `read(facts, element, state)` and `act(element, argument, state)`. */
  const getter = (read) => ({
    get() {
      return read(factsOf(this), this, stateOf(this));
    },
  });
  const method = (act) => ({
    value(argument) {
      return act(this, argument, stateOf(this));
    },
  });

  function later(element, types) {
    queueMicrotask(() => dispatch(element, types));
  }

  const ranges = getter((known) => ({ length: known ? 1 : 0, start: () => 0, end: () => (known ? known.duration : 0) }));

  function moveTo(element, seconds, state) {
    state.time = Math.max(0, Number(seconds) || 0);
    later(element, ["seeking", "timeupdate", "seeked"]);
  }

  define(HTMLMediaElement.prototype, {
    currentSrc: getter((_known, element) => sourceOf(element)),
    duration: getter((known) => (known ? known.duration : NaN)),
    readyState: getter((known) => (known ? HAVE_ENOUGH_DATA : HAVE_NOTHING)),
    networkState: getter((known, element) => (known ? NETWORK_IDLE : sourceOf(element) ? NETWORK_LOADING : NETWORK_EMPTY)),
    paused: getter((_known, _element, state) => state.paused),
    ended: getter((known, element, state) => Boolean(known) && !element.loop && state.time >= known.duration),
    seeking: getter(() => false),
    error: getter(() => null),
    buffered: ranges,
    seekable: ranges,
    played: ranges,
    currentTime: {
      get() {
        return stateOf(this).time;
      },
      set(seconds) {
        moveTo(this, seconds, stateOf(this));
      },
    },
    fastSeek: method(moveTo),
    load: method((element) => adopt(element)),
    pause: method((element, _argument, state) => {
      if (state.paused) return;
      state.paused = true;
      later(element, ["pause"]);
    }),
    play: method((element, _argument, state) => {
      if (state.paused) later(element, ["play", "playing"]);
      state.paused = false;
      return Promise.resolve();
    }),
    canPlayType: method((_element, type) => (/^\s*(video|audio)\//i.test(type) ? "probably" : "")),
  });

  define(HTMLVideoElement.prototype, {
    videoWidth: getter((known) => (known ? known.width : 0)),
    videoHeight: getter((known) => (known ? known.height : 0)),
    requestVideoFrameCallback: method((_element, callback, state) => {
      state.lastCallback += 1;
      state.callbacks.set(state.lastCallback, callback);
      return state.lastCallback;
    }),
    cancelVideoFrameCallback: method((_element, handle, state) => {
      state.callbacks.delete(handle);
    }),
  });

  function showNothing(element) {
    const state = stateOf(element);
    const known = factsOf(element);
    state.image = null;
    state.picture = "";
    if (known && element.localName === "video") element.setAttribute("poster", blank(known.width, known.height).src);
  }

  /* An empty picture of the video's size: the box of a <video> without sizes of its own follows its poster. */
  function blank(width, height) {
    const key = `${width}x${height}`;
    if (!blanks.has(key)) {
      const image = new Image();
      image.src = `data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"/>`;
      blanks.set(key, image);
    }
    return blanks.get(key);
  }

  /* Show the picture at URL `picture` as the element's at source time `time`. A loaded image makes the poster appear with the next frame. */
  async function show(element, picture, time) {
    const state = stateOf(element);
    const changed = state.picture !== picture;
    if (changed) {
      const image = new Image();
      image.src = picture;
      await loaded(image);
      state.image = image;
      state.picture = picture;
      element.setAttribute("poster", picture);
    }
    state.time = time;
    if (changed) notify(element, state);
  }

  function loaded(image) {
    return new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(new Error(`a frame of a source video was not served: ${image.src}`));
    });
  }

  function notify(element, state) {
    dispatch(element, ["timeupdate", "seeked"]);
    const callbacks = state.callbacks;
    state.callbacks = new Map();
    const now = performance.now();
    const metadata = {
      presentationTime: now,
      expectedDisplayTime: now,
      width: element.videoWidth,
      height: element.videoHeight,
      mediaTime: state.time,
      presentedFrames: state.lastCallback,
    };
    for (const callback of callbacks.values()) callback.call(element, now, metadata);
  }

  /* `pictures` is [[element, picture, time], …]; every other video shows nothing. */
  async function showAll(pictures) {
    const shown = new Set(pictures.map(([element]) => element));
    for (const element of elements()) if (stateOf(element).picture && !shown.has(element)) showNothing(element);
    await Promise.all(pictures.map((entry) => show(...entry)));
  }

  /* Canvas, WebGL and WebGPU take pixels from the picture instead of from the element. */
  function pixels(source) {
    if (source?.localName !== "video" || !source[KEY] || !source.videoWidth) return source;
    if (source[KEY].image) return source[KEY].image;
    const canvas = document.createElement("canvas");
    canvas.width = source.videoWidth;
    canvas.height = source.videoHeight;
    return canvas;
  }

  /* Replace the argument at `position`, -1 for the last one, in calls of the methods `names`. */
  function substitute(owner, names, position) {
    for (const name of names) {
      const native = owner?.[name];
      if (typeof native !== "function") continue;
      owner[name] = function (...given) {
        const place = position < 0 ? given.length - 1 : position;
        given[place] = pixels(given[place]);
        return native.apply(this, given);
      };
    }
  }

  for (const name of ["CanvasRenderingContext2D", "OffscreenCanvasRenderingContext2D"]) {
    substitute(window[name]?.prototype, ["drawImage", "createPattern"], 0);
  }
  for (const name of ["WebGLRenderingContext", "WebGL2RenderingContext"]) {
    substitute(window[name]?.prototype, ["texImage2D", "texSubImage2D", "texImage3D", "texSubImage3D"], -1);
  }
  substitute(window, ["createImageBitmap"], 0);
  const queue = window.GPUQueue?.prototype;
  if (queue?.copyExternalImageToTexture) {
    const copyToTexture = queue.copyExternalImageToTexture;
    queue.copyExternalImageToTexture = function (source, destination, size) {
      return copyToTexture.call(this, { ...source, source: pixels(source.source) }, destination, size);
    };
  }
  if (window.VideoFrame) {
    window.VideoFrame = new Proxy(window.VideoFrame, {
      construct(target, args, newTarget) {
        const source = pixels(args[0]);
        const options = source === args[0] ? args[1] : { timestamp: Math.round(args[0].currentTime * 1e6), ...args[1] };
        return Reflect.construct(target, [source, options], newTarget);
      },
    });
  }

  window.__HF_MEDIA__ = {
    elements,
    sourceOf,
    /* The facts of the file at an absolute URL: {duration, width, height}; the sizes are 0 when it has no picture. */
    learn(url, known) {
      facts.set(url, known);
      elements().forEach(announce);
    },
    knows: (url) => facts.has(url),
    show: showAll,
  };
})();
