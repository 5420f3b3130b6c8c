/*
 * Sound. Runs in the <head> of every HTML file, before the runtime and before any script of the composition.
 *
 * The `volume` and `muted` that scripts set on a media element decide how loud it is in the render; the engine reads them after a seek. Two
 * things are corrected for that. A browser refuses a volume above 1; here an element accepts up to LOUDEST, as `data-volume` does. The
 * runtime writes the volume at every seek, from `data-volume`, fades and its own sliders, for live playback. Its writes are recognised by
 * the calling script and never count.
 */
(() => {
  "use strict";
  if (window.__HF_SOUND__) return;
  const LOUDEST = 10 ** (12 / 20);
  const RUNTIME = /\/__hyperframes\/runtime\.js/;
  const states = new WeakMap();

  /* The gain and mute state that the composition's scripts have set, and how often they set either. */
  function stateOf(element) {
    if (!states.has(element)) states.set(element, { volume: null, muted: null, writes: 0 });
    return states.get(element);
  }

  const bounded = (gain) => Math.max(0, Math.min(LOUDEST, gain));

  function declared(element) {
    const gain = parseFloat(element.getAttribute("data-volume"));
    return Number.isFinite(gain) ? bounded(gain) : 1;
  }

  const volumeOf = (element) => stateOf(element).volume ?? declared(element);
  const mutedOf = (element) => stateOf(element).muted ?? element.defaultMuted;

  /* Lines of the stack: the message, this function, the setter, and the script that sets. */
  function setByRuntime() {
    return RUNTIME.test(String(new Error("").stack).split("\n")[3]);
  }

  function define(name, read, accept) {
    const native = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, name);
    Object.defineProperty(HTMLMediaElement.prototype, name, {
      configurable: true,
      enumerable: true,
      get() {
        native.get.call(this); // throws like the browser's own getter when `this` is not a media element
        return read(this);
      },
      set(value) {
        const byRuntime = setByRuntime();
        native.set.call(this, name === "volume" ? Math.max(0, Math.min(1, Number(value))) : value);
        if (byRuntime) return;
        /* Scripts mute what is already muted, to be allowed to play it: no change. An unchanged volume counts: a tween has passed there. */
        if (name === "volume" || read(this) !== accept(value)) stateOf(this).writes += 1;
        stateOf(this)[name] = accept(value);
      },
    });
  }

  define("volume", volumeOf, (value) => bounded(Number(value)));
  define("muted", mutedOf, Boolean);

  function seconds(element, name) {
    const length = parseFloat(element.getAttribute(name));
    return length > 0 && Number.isFinite(length) ? length : 0;
  }

  /* The group that an element belongs to. A group need not have an element of its own. */
  function group(element) {
    const id = element.getAttribute("data-audio-group");
    if (!id) return null;
    const found = element.ownerDocument.querySelector(`hf-audio-group#${CSS.escape(id)}`);
    return {
      id,
      volume: found ? declared(found) : 1,
      hidden: found !== null && found.closest("[data-hidden]") !== null,
      automation: found?.getAttribute("data-automation") || "",
      effects: found !== null && hasEffects(found),
    };
  }

  /* An empty effect chain changes nothing. One that cannot be parsed counts as an effect. */
  function hasEffects(element) {
    const chain = element.getAttribute("data-fx-chain");
    if (!chain) return false;
    try {
      return JSON.parse(chain).nodes.length > 0;
    } catch {
      return true;
    }
  }

  window.__HF_SOUND__ = {
    volume: (element) => ({ volume: volumeOf(element), muted: mutedOf(element), writes: stateOf(element).writes }),
    describe(element) {
      const root = element.ownerDocument.querySelector("[data-composition-id]");
      return {
        fadeIn: seconds(element, "data-fade-in"),
        fadeOut: seconds(element, "data-fade-out"),
        /* A detached element is a texture. */
        timed: element.isConnected && element.hasAttribute("data-start"),
        automation: element.getAttribute("data-automation") || "",
        effects: hasEffects(element) || (root !== null && hasEffects(root)),
        group: group(element),
      };
    },
  };
})();
