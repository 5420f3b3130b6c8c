/*
 * Source video and sound: in the <head> of every HTML file, before any script of the composition.
 *
 * The browser loads and plays no media file. Its pictures would depend on how fast it decodes, and on which codecs it was built with. The
 * engine reads the files, tells this script what is in them (learn) and which picture each <video> shows at the moment of the seek (show).
 * A picture is shown as the element's poster, so that the author's own box, object-fit, corners, masks, filters and transforms apply to it;
 * what scripts read from an element, or draw from it on a canvas, is that picture as well.
 */
(function () {
  "use strict";
  if (window.__HF_MEDIA__) return;
  var KEY = "__hf_media__";
  var HAVE_NOTHING = 0, HAVE_ENOUGH_DATA = 4;
  var NETWORK_EMPTY = 0, NETWORK_IDLE = 1, NETWORK_LOADING = 2;
  var SELECTOR = "video, audio";
  var facts = new Map();
  var detached = new Set();
  var blanks = new Map();
  var isTop = window === window.top;

  function isMedia(node) {
    return Boolean(node) && node.nodeType === 1 && (node.localName === "video" || node.localName === "audio");
  }

  /* What is known of one element: the source its events were sent for, its clock, the picture that it shows. */
  function stateOf(element) {
    if (!element[KEY]) {
      var fresh = { announced: "", time: 0, paused: true, image: null, picture: "", callbacks: new Map(), lastCallback: 0 };
      Object.defineProperty(element, KEY, { value: fresh });
    }
    return element[KEY];
  }

  /* Absolute URL of what the element plays: its own src, else the first <source> that is a file of the project, else the first one. */
  function sourceOf(element) {
    var own = element.getAttribute("src");
    if (own) return absolute(own);
    var all = Array.from(element.querySelectorAll("source[src]"), function (source) {
      return source.getAttribute("src");
    }).filter(Boolean);
    var local = all.find(function (url) {
      return !/^https?:\/\//i.test(url);
    });
    return all.length ? absolute(local || all[0]) : "";
  }

  function absolute(url) {
    try {
      return new URL(url, document.baseURI).href;
    } catch (error) {
      return url; // not a URL: the engine says so, with the element's name
    }
  }

  function factsOf(element) {
    return facts.get(sourceOf(element));
  }

  /* An element without data-start is a clip from the beginning: the runtime drives only what has one. A player's buttons are no picture. */
  function adopt(element) {
    stateOf(element);
    if (element.localName === "video" && element.controls) element.controls = false;
    if (isTop && element.isConnected && !element.hasAttribute("data-start") && sourceOf(element)) element.setAttribute("data-start", "0");
    announce(element);
  }

  function announce(element) {
    var state = stateOf(element);
    var url = sourceOf(element);
    var known = facts.get(url);
    if (!known || state.announced === url) return;
    state.announced = url;
    showNothing(element);
    ["loadstart", "durationchange", "loadedmetadata", "loadeddata", "canplay", "canplaythrough"].forEach(function (type) {
      element.dispatchEvent(new Event(type));
    });
  }

  new MutationObserver(function (records) {
    records.forEach(function (record) {
      if (isMedia(record.target)) adopt(record.target);
      else if (record.target.localName === "source" && isMedia(record.target.parentNode)) adopt(record.target.parentNode);
      record.addedNodes.forEach(function (node) {
        if (node.nodeType !== 1) return;
        if (isMedia(node)) adopt(node);
        node.querySelectorAll(SELECTOR).forEach(adopt);
      });
    });
  }).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });

  /* A <video> that never enters the page can still be a texture. One that makes sound there is none of the timeline's business. */
  var createElement = Document.prototype.createElement;
  Document.prototype.createElement = function (name) {
    var element = createElement.apply(this, arguments);
    if (isMedia(element)) {
      silenceNative(element);
      if (element.localName === "video") detached.add(element);
      new MutationObserver(function () {
        if (!element.isConnected) adopt(element);
      }).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
    }
    return element;
  };

  /* In document order; then those of shadow trees, which no observer and no query of the document sees, and those outside of the page. */
  function elements() {
    var clock = window.__HF_VIRTUAL_TIME__;
    var found = [document].concat(clock ? clock.shadowTrees() : []).flatMap(function (tree) {
      return Array.from(tree.querySelectorAll(SELECTOR));
    });
    detached.forEach(function (element) {
      if (!element.isConnected && sourceOf(element)) found.push(element);
    });
    return found;
  }

  /* The browser's own account of a load that was never to succeed. */
  var NATIVE = [
    "abort", "canplay", "canplaythrough", "durationchange", "emptied", "ended", "error", "loadeddata", "loadedmetadata", "loadstart",
    "pause", "play", "playing", "progress", "seeked", "seeking", "stalled", "suspend", "timeupdate", "waiting",
  ];
  function silenceNative(target) {
    NATIVE.forEach(function (type) {
      target.addEventListener(type, dropNative, true);
    });
  }
  function dropNative(event) {
    var target = event.target;
    var concerned = isMedia(target) || (target && target.localName === "source" && isMedia(target.parentNode));
    if (event.isTrusted && concerned) event.stopImmediatePropagation();
  }
  silenceNative(window);

  /* What scripts see. */
  function define(prototype, properties) {
    Object.keys(properties).forEach(function (name) {
      var native = Object.getOwnPropertyDescriptor(prototype, name);
      if (!native) return;
      var ours = properties[name];
      var descriptor = native.get ? { get: ours.get, set: ours.set || native.set } : { writable: true, value: ours.value };
      Object.defineProperty(prototype, name, Object.assign({ configurable: true, enumerable: native.enumerable }, descriptor));
    });
  }

  function getter(read) {
    return {
      get: function () {
        return read(this, factsOf(this), stateOf(this));
      },
    };
  }

  function method(act) {
    return {
      value: function (argument) {
        return act(this, argument, stateOf(this));
      },
    };
  }

  function later(element, types) {
    queueMicrotask(function () {
      types.forEach(function (type) {
        element.dispatchEvent(new Event(type));
      });
    });
  }

  function ranges(known) {
    return {
      length: known ? 1 : 0,
      start: function () {
        return 0;
      },
      end: function () {
        return known ? known.duration : 0;
      },
    };
  }

  function moveTo(element, seconds, state) {
    state.time = Math.max(0, Number(seconds) || 0);
    later(element, ["seeking", "timeupdate", "seeked"]);
  }

  define(HTMLMediaElement.prototype, {
    currentSrc: getter(sourceOf),
    duration: getter(function (_element, known) {
      return known ? known.duration : NaN;
    }),
    readyState: getter(function (_element, known) {
      return known ? HAVE_ENOUGH_DATA : HAVE_NOTHING;
    }),
    networkState: getter(function (element, known) {
      return known ? NETWORK_IDLE : sourceOf(element) ? NETWORK_LOADING : NETWORK_EMPTY;
    }),
    paused: getter(function (_element, _known, state) {
      return state.paused;
    }),
    ended: getter(function (element, known, state) {
      return Boolean(known) && !element.loop && state.time >= known.duration;
    }),
    seeking: getter(function () {
      return false;
    }),
    error: getter(function () {
      return null;
    }),
    buffered: getter(function (_element, known) {
      return ranges(known);
    }),
    seekable: getter(function (_element, known) {
      return ranges(known);
    }),
    played: getter(function (_element, known) {
      return ranges(known);
    }),
    currentTime: {
      get: function () {
        return stateOf(this).time;
      },
      set: function (seconds) {
        moveTo(this, seconds, stateOf(this));
      },
    },
    fastSeek: method(moveTo),
    load: method(function (element) {
      adopt(element);
    }),
    pause: method(function (element, _argument, state) {
      if (state.paused) return;
      state.paused = true;
      later(element, ["pause"]);
    }),
    play: method(function (element, _argument, state) {
      if (state.paused) later(element, ["play", "playing"]);
      state.paused = false;
      return Promise.resolve();
    }),
    canPlayType: method(function (_element, type) {
      return /^\s*(video|audio)\//i.test(type) ? "probably" : "";
    }),
  });

  define(HTMLVideoElement.prototype, {
    videoWidth: getter(function (_element, known) {
      return known ? known.width : 0;
    }),
    videoHeight: getter(function (_element, known) {
      return known ? known.height : 0;
    }),
    requestVideoFrameCallback: method(function (_element, callback, state) {
      state.lastCallback += 1;
      state.callbacks.set(state.lastCallback, callback);
      return state.lastCallback;
    }),
    cancelVideoFrameCallback: method(function (_element, handle, state) {
      state.callbacks.delete(handle);
    }),
  });

  /* Pictures. */
  function showNothing(element) {
    var state = stateOf(element);
    var known = factsOf(element);
    state.image = null;
    state.picture = "";
    if (known && element.localName === "video") element.setAttribute("poster", blank(known.width, known.height).src);
  }

  /* Nothing to see, but of the video's size: the box of a <video> without sizes of its own follows its poster. */
  function blank(width, height) {
    var key = width + "x" + height;
    if (!blanks.has(key)) {
      var image = new Image();
      image.src = 'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="' + width + '" height="' + height + '"/>';
      blanks.set(key, image);
    }
    return blanks.get(key);
  }

  /* Show `picture` (URL) as the element's at source time `time`. An image that is there already makes the poster appear with the next frame. */
  async function show(element, picture, time) {
    var state = stateOf(element);
    var changed = state.picture !== picture;
    if (changed) {
      var image = new Image();
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
    return new Promise(function (resolve, reject) {
      image.onload = resolve;
      image.onerror = function () {
        reject(new Error("a frame of a source video was not served: " + image.src));
      };
    });
  }

  function notify(element, state) {
    element.dispatchEvent(new Event("timeupdate"));
    element.dispatchEvent(new Event("seeked"));
    var callbacks = state.callbacks;
    state.callbacks = new Map();
    var now = performance.now();
    var metadata = {
      presentationTime: now, expectedDisplayTime: now, width: element.videoWidth, height: element.videoHeight,
      mediaTime: state.time, presentedFrames: state.lastCallback,
    };
    callbacks.forEach(function (callback) {
      callback.call(element, now, metadata);
    });
  }

  /* `pictures` is [[element, picture, time], …]; every other video shows nothing. */
  async function showAll(pictures) {
    var shown = new Set(pictures.map(function (entry) {
      return entry[0];
    }));
    elements().forEach(function (element) {
      if (stateOf(element).picture && !shown.has(element)) showNothing(element);
    });
    await Promise.all(pictures.map(function (entry) {
      return show(entry[0], entry[1], entry[2]);
    }));
  }

  /* Canvas, WebGL and WebGPU take pixels from the picture instead of from the element. */
  function pixels(source) {
    if (!source || source.localName !== "video" || !source[KEY] || !source.videoWidth) return source;
    if (source[KEY].image) return source[KEY].image;
    var canvas = document.createElement("canvas");
    canvas.width = source.videoWidth;
    canvas.height = source.videoHeight;
    return canvas;
  }

  function substitute(owner, names, position) {
    names.forEach(function (name) {
      var native = owner && owner[name];
      if (typeof native !== "function") return;
      owner[name] = function () {
        var given = Array.prototype.slice.call(arguments);
        var place = position < 0 ? given.length - 1 : position;
        given[place] = pixels(given[place]);
        return native.apply(this, given);
      };
    });
  }

  function prototypeOf(name) {
    return window[name] && window[name].prototype;
  }

  ["CanvasRenderingContext2D", "OffscreenCanvasRenderingContext2D"].forEach(function (name) {
    substitute(prototypeOf(name), ["drawImage", "createPattern"], 0);
  });
  ["WebGLRenderingContext", "WebGL2RenderingContext"].forEach(function (name) {
    substitute(prototypeOf(name), ["texImage2D", "texSubImage2D", "texImage3D", "texSubImage3D"], -1);
  });
  substitute(window, ["createImageBitmap"], 0);
  var queue = prototypeOf("GPUQueue");
  if (queue && queue.copyExternalImageToTexture) {
    var copyToTexture = queue.copyExternalImageToTexture;
    queue.copyExternalImageToTexture = function (source, destination, size) {
      return copyToTexture.call(this, Object.assign({}, source, { source: pixels(source.source) }), destination, size);
    };
  }
  if (window.VideoFrame) {
    window.VideoFrame = new Proxy(window.VideoFrame, {
      construct: function (target, args, newTarget) {
        var source = pixels(args[0]);
        var options = source === args[0] ? args[1] : Object.assign({ timestamp: Math.round(args[0].currentTime * 1e6) }, args[1]);
        return Reflect.construct(target, [source, options], newTarget);
      },
    });
  }

  window.__HF_MEDIA__ = {
    elements: elements,
    sourceOf: sourceOf,
    /* What the file at an absolute URL holds: {duration, width, height}; sizes are 0 without a picture. */
    learn: function (url, known) {
      facts.set(url, known);
      elements().forEach(announce);
    },
    knows: function (url) {
      return facts.has(url);
    },
    show: showAll,
  };
})();
