/* Timing: when a clip starts, how long it is and which part of its file it plays, in seconds of the whole composition. */
const timing = (() => {
  const SLOWEST_RATE = 0.1;
  const FASTEST_RATE = 10;
  const HOSTS = "[data-composition-src], [data-composition-file]";
  /* A name may hold a hyphen: text that can be a name as a whole is one. */
  const REFERENCE = /^(?:([\w.:-]+)|([\w.:-]+?)\s*([+-])\s*(\d*\.?\d+))$/;

  const isNumber = (text) => text !== null && text.trim() !== "" && Number.isFinite(Number(text));
  const startText = (element) => (element.getAttribute("data-start") || "").trim();

  /* The start of the clip around an element, shadow trees included; zero without one. */
  function clipStart(element) {
    for (let place = element; place; place = place.getRootNode().host) {
      const clip = place.closest("[data-start]");
      if (clip) return startOf(clip);
    }
    return 0;
  }

  /*
   * Resolve `data-start`. A number counts from the composition around the element; `ID`, `ID + n` and `ID - n` count from the end of that
   * clip, with or without spaces. An unknown reference counts as 0. In a circle of references, the clip that closes it counts as 0, as in
   * the runtime: a clip that follows itself starts after its own length.
   */
  function startOf(element, visiting = new Set()) {
    if (visiting.has(element)) return 0;
    visiting.add(element);
    const text = startText(element);
    let start = 0;
    if (isNumber(text)) {
      const host = element.hasAttribute("data-composition-id") ? element.parentElement : element;
      start = originOf(host?.closest("[data-composition-id]"), visiting) + Math.max(0, Number(text));
    } else if (text !== "") {
      const [, whole, base, sign, offset] = REFERENCE.exec(text) || [];
      const name = whole || base || "";
      const reference = document.getElementById(name) || document.querySelector(`[data-composition-id="${CSS.escape(name)}"]`);
      start = reference ? startOf(reference, visiting) + lengthOf(reference) + Number((sign || "+") + (offset || 0)) : 0;
    } else if (element.parentElement && element.hasAttribute("data-composition-id")) {
      const outer = element.parentElement.closest(`[data-composition-id], ${HOSTS}`);
      start = outer === element.parentElement ? startOf(outer, visiting) : 0;
    }
    visiting.delete(element);
    return Math.max(0, start);
  }

  /* The moment of the whole at which a composition's own time is zero. */
  function originOf(composition, visiting = new Set()) {
    return composition ? startOf(composition, visiting) - inPoint(composition) : 0;
  }

  function authoredLength(element) {
    const duration = Number(element.getAttribute("data-duration") || element.getAttribute("data-hf-authored-duration"));
    if (duration > 0) return duration;
    const end = Number(element.getAttribute("data-end") || element.getAttribute("data-hf-authored-end"));
    return end > 0 ? Math.max(0, end - startOf(element)) : 0;
  }

  function lengthOf(element) {
    const authored = authoredLength(element);
    if (authored > 0) return authored;
    if (element.matches("video, audio") && element.duration > 0) return (element.duration - inPoint(element)) / playbackRate(element);
    const timeline = window.__timelines?.[element.getAttribute("data-composition-id")];
    return typeof timeline?.duration === "function" ? Number(timeline.duration()) || 0 : 0;
  }

  /* The second of its file, or of its own timeline, at which an element begins. */
  function inPoint(element) {
    const authored = ["data-playback-start", "data-media-start"].map((name) => element.getAttribute(name));
    return Number(authored.find((text) => isNumber(text) && Number(text) >= 0) ?? 0);
  }

  function playbackRate(element) {
    const rate = parseFloat(element.getAttribute("data-playback-rate"));
    return rate > 0 && Number.isFinite(rate) ? Math.max(SLOWEST_RATE, Math.min(FASTEST_RATE, rate)) : 1;
  }

  /*
   * When a media element plays. `end` is null where only the length of the file ends it; `limit` is the end of the compositions around it. A
   * composition that begins inside itself (an in-point on its host) cuts off the first `head` seconds of playing.
   */
  function mediaWindow(element) {
    const text = startText(element);
    const origin = originOf(element.closest("[data-composition-id]"));
    let start = origin;
    if (isNumber(text)) start += Math.max(0, Number(text));
    else if (text) start = startOf(element);
    const duration = element.getAttribute("data-duration");
    const authoredEnd = element.getAttribute("data-end");
    let end = null;
    if (isNumber(duration)) end = start + Math.max(0, Number(duration));
    else if (isNumber(authoredEnd)) end = Math.max(start, origin + Number(authoredEnd));
    let limit = null;
    let head = 0;
    for (const host of hostsOf(element)) {
      const hostStart = startOf(host);
      const length = authoredLength(host);
      if (length > 0) limit = Math.min(limit ?? Infinity, hostStart + length);
      if (inPoint(host) > 0 && start < hostStart) {
        if (!element.loop) head += hostStart - start;
        start = hostStart;
      }
    }
    return { start, end, limit, head };
  }

  /* The compositions around an element, innermost first, without the root. */
  function hostsOf(element) {
    const hosts = [];
    for (let place = element.parentElement; place; place = place.parentElement) {
      if (place.matches(`[data-composition-id], ${HOSTS}`)) hosts.push(place);
    }
    return hosts.at(-1)?.matches(HOSTS) ? hosts : hosts.slice(0, -1);
  }

  return { clipStart, inPoint, mediaWindow, playbackRate };
})();
