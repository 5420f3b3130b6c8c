/*
 * The page protocol, window.__hf = {duration, seek}, on top of the HyperFrames runtime's player. A seek brings everything that the runtime
 * does not drive to the same moment.
 *
 * A page with a protocol object of its own is driven through that: its clocks follow, but its animations are its own business.
 */
const player = (() => {
  const swallowed = [];
  const bridged = ownsProtocol(window.__hf) ? null : window.__hf || {};

  function ownsProtocol(hf) {
    return typeof hf?.seek === "function" && "duration" in hf;
  }

  function current() {
    const candidate = window.__player;
    return typeof candidate?.renderSeek === "function" && typeof candidate.getDuration === "function" ? candidate : null;
  }

  function declaredDuration() {
    return Number(document.querySelector("[data-composition-id]")?.getAttribute("data-duration")) || 0;
  }

  function seek(time, options) {
    const seconds = Math.max(0, Number(time) || 0);
    const runtime = current();
    const all = views.all();
    layers.restoreTransforms();
    views.setClocks(seconds);
    adoptLottie();
    runtime?.renderSeek(seconds, options);
    for (const view of all.slice(1)) animations.sync(view, seconds);
    views.flushAnimationFrames();
    if (runtime && leavesFallback()) runtime.renderSeek(seconds, { suppressEvents: true });
    for (const view of all) {
      animations.sync(view, seconds);
      layers.flattenAll(view);
    }
  }

  /* The runtime looks for Lottie animations until it is ready. This adds those whose data arrives later; they would stand still. */
  function adoptLottie() {
    if (typeof window.lottie?.getRegisteredAnimations !== "function") return;
    window.__hfLottie ||= [];
    for (const animation of window.lottie.getRegisteredAnimations()) {
      if (!window.__hfLottie.includes(animation)) window.__hfLottie.push(animation);
    }
  }

  /*
   * The runtime moves a CSS animation that it did not find at the start by a negative inline delay, removes the delay at the end of a seek and
   * sets it again in its animation frame. A second seek removes it, so that the author's own delay counts.
   */
  function leavesFallback() {
    return document
      .getAnimations()
      .some((animation) => animation instanceof CSSAnimation && animation.effect?.target?.style?.animationPlayState === "paused");
  }

  if (bridged) {
    Object.defineProperty(bridged, "duration", {
      configurable: true,
      enumerable: true,
      get() {
        const runtime = current();
        if (!runtime || !window.__renderReady || window.__hfTimelinesBuilding) return 0;
        const seconds = runtime.getDuration();
        return seconds > 0 ? seconds : declaredDuration();
      },
    });
    bridged.seek = seek;
    /* When a timeline's callback throws, the runtime continues and reports the error only here. */
    bridged.onSwallowed = ({ label, error }) => {
      if (/^runtime\.init\.transport\./.test(label)) swallowed.push(String(error?.stack || error));
    };
    window.__hf = bridged;
  }

  return {
    current,
    /* Whether the protocol object is the bridge's. */
    isBridged: () => window.__hf === bridged,
    hasOwnProtocol: () => ownsProtocol(window.__hf) && window.__hf !== bridged,
    takeErrors: () => swallowed.splice(0),
  };
})();
