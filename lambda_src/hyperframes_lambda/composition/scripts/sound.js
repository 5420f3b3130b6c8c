/*
 * Sound: in the <head> of every HTML file, before the runtime and before any script of the author's.
 *
 * What the author's scripts make of a media element's `volume` and `muted` is the loudness of its sound in the render: it is read here after
 * a seek. Two things stand in the way, and are put right. An element refuses a volume over 1; here it takes up to LOUDEST, as `data-volume`
 * does. And the runtime writes the volume at every seek, from `data-volume`, fades and its own sliders, for somebody who listens; that is
 * told apart by the script that writes, and is not what the author's scripts read back.
 */
(function () {
  "use strict";
  if (window.__HF_SOUND__) return;
  var LOUDEST = Math.pow(10, 12 / 20);
  var RUNTIME = /\/__hyperframes\/runtime\.js/;
  var states = new WeakMap();

  /* What the author's scripts have set: a gain, a muteness, and how often either. */
  function stateOf(element) {
    if (!states.has(element)) states.set(element, { volume: null, muted: null, writes: 0 });
    return states.get(element);
  }

  function bounded(gain) {
    return Math.max(0, Math.min(LOUDEST, gain));
  }

  function declared(element) {
    var gain = parseFloat(element.getAttribute("data-volume"));
    return isFinite(gain) ? bounded(gain) : 1;
  }

  function volumeOf(element) {
    var set = stateOf(element).volume;
    return set === null ? declared(element) : set;
  }

  function mutedOf(element) {
    var set = stateOf(element).muted;
    return set === null ? element.defaultMuted : set;
  }

  /* The lines of a stack: the message, this function, the setter, whoever sets. */
  function setByRuntime() {
    return RUNTIME.test(String(new Error("").stack).split("\n")[3]);
  }

  function define(name, read, accept) {
    var native = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, name);
    Object.defineProperty(HTMLMediaElement.prototype, name, {
      configurable: true,
      enumerable: true,
      get: function () {
        native.get.call(this); // throws as the browser's own does when this is no media element
        return read(this);
      },
      set: function (value) {
        var byRuntime = setByRuntime();
        native.set.call(this, name === "volume" ? Math.max(0, Math.min(1, Number(value))) : value);
        if (byRuntime) return;
        /* Scripts mute what is muted, to be allowed to play it: that is no change. A volume that stays counts, a tween has passed there. */
        if (name === "volume" || read(this) !== accept(value)) stateOf(this).writes += 1;
        stateOf(this)[name] = accept(value);
      },
    });
  }

  define("volume", volumeOf, function (value) {
    return bounded(Number(value));
  });
  define("muted", mutedOf, Boolean);

  function seconds(element, name) {
    var length = parseFloat(element.getAttribute(name));
    return length > 0 && isFinite(length) ? length : 0;
  }

  /* The group that an element is a member of; a group need not be described. */
  function group(element) {
    var id = element.getAttribute("data-audio-group");
    if (!id) return null;
    var found = element.ownerDocument.querySelector("hf-audio-group#" + CSS.escape(id));
    return {
      id: id,
      volume: found ? declared(found) : 1,
      hidden: found !== null && found.closest("[data-hidden]") !== null,
      automation: (found && found.getAttribute("data-automation")) || "",
      effects: found !== null && hasEffects(found),
    };
  }

  /* A chain without an effect changes nothing; one that cannot be read is meant to change something. */
  function hasEffects(element) {
    var chain = element.getAttribute("data-fx-chain");
    if (!chain) return false;
    try {
      return JSON.parse(chain).nodes.length > 0;
    } catch (error) {
      return true;
    }
  }

  window.__HF_SOUND__ = {
    volume: function (element) {
      return { volume: volumeOf(element), muted: mutedOf(element), writes: stateOf(element).writes };
    },
    describe: function (element) {
      var root = element.ownerDocument.querySelector("[data-composition-id]");
      return {
        fadeIn: seconds(element, "data-fade-in"),
        fadeOut: seconds(element, "data-fade-out"),
        /* What stands outside of the page is a texture. */
        timed: element.isConnected && element.hasAttribute("data-start"),
        automation: element.getAttribute("data-automation") || "",
        effects: hasEffects(element) || (root !== null && hasEffects(root)),
        group: group(element),
      };
    },
  };
})();
