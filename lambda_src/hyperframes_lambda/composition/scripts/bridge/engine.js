/* The face of the bridge: window.__HF_ENGINE__, through which the engine asks for the page's state and brings it to a moment. */
(() => {
  /* Everything that decides readiness, as plain data. */
  function state() {
    const own = player.hasOwnProtocol();
    const compositions = Array.from(document.querySelectorAll("[data-composition-id]"));
    const idOf = (element) => element.getAttribute("data-composition-id");
    const pending = views.all().flatMap((view) => views.images(view).filter((image) => image.getAttribute("src") && !image.complete));
    return {
      loaded: document.readyState === "complete",
      parsed: document.readyState !== "loading",
      own,
      seekable: own || player.current() !== null,
      settled: own || Boolean(window.__renderReady),
      duration: String(window.__hf?.duration),
      compositions: compositions.map(idOf),
      missing: own ? [] : compositions.filter(lacksTimeline).map(idOf),
      registered: Object.keys(window.__timelines || {}),
      unknownMedia: media.unknown(),
      pendingImages: pending.map((image) => image.currentSrc || image.src),
      fontsLoading: views.all().some((view) => view.document.fonts.status === "loading"),
      errors: takeErrors(),
    };
  }

  /* The root of a sub-composition may declare that it has no timeline. Once mounted, it stands inside its host and has no id. */
  function lacksTimeline(element) {
    if (window.__timelines?.[element.getAttribute("data-composition-id")] || element.matches("[data-no-timeline]")) return false;
    return !element.querySelector(":scope > [data-no-timeline]:not([data-composition-id])");
  }

  const takeErrors = () => [...player.takeErrors(), ...views.takeErrors()];

  /*
   * Bring the page to `seconds` and wait for everything that the seek starts. `pictures` is [[index, URL, source time], …] of the source
   * videos that are visible; scripts may draw from them during the seek. Resolves with the errors that callbacks threw.
   */
  async function frame(seconds, pictures) {
    const hf = window.__hf;
    const own = !player.isBridged();
    await media.show(pictures || []);
    if (own) views.setClocks(seconds);
    await hf.seek(seconds);
    if (own) views.flushAnimationFrames();
    if (typeof window.__hfWaitForSeekCompletion === "function") await window.__hfWaitForSeekCompletion();
    const grading = window.__hf.colorGrading;
    if (typeof grading?.waitForActiveLuts === "function") await grading.waitForActiveLuts();
    await settle();
    views.all().forEach(advanceAnimatedImages);
    return takeErrors();
  }

  /*
   * An animated image advances only when something else makes the compositor redraw. In a view that has loaded a file of an animatable type,
   * a property without visible effect is changed.
   */
  function advanceAnimatedImages(view) {
    if (!view.document.body) return;
    const files = view.performance.getEntriesByType("resource").map((entry) => entry.name);
    const inline = views.images(view).map((image) => image.src);
    if (!files.concat(inline).some(isAnimatable)) return;
    const { style } = view.document.body;
    style.columnRuleColor = style.columnRuleColor === "black" ? "white" : "black";
  }

  const isAnimatable = (address) => /^data:image\/(gif|webp|apng|avif)|^(?!data:)[^?#]*\.(gif|webp|apng|avif)([?#]|$)/.test(address);

  /*
   * Wait for images and fonts. Layout is forced first, so that everything that the new styles need (a background, a font) has been requested.
   * The compositor waits for image decoding, because checker-imaging is off; HTMLImageElement.decode() would wait for a frame that nobody has
   * requested yet.
   */
  async function settle() {
    for (const view of views.all()) {
      const { documentElement, fonts } = view.document;
      documentElement?.getBoundingClientRect();
      for (const image of views.images(view)) if (!image.complete && image.getAttribute("src")) await loaded(image);
      if (fonts.status === "loading") await fonts.ready;
    }
  }

  function loaded(image) {
    image.loading = "eager";
    return new Promise((resolve) => {
      image.addEventListener("load", resolve, { once: true });
      image.addEventListener("error", resolve, { once: true });
      if (image.complete) resolve();
    });
  }

  window.__HF_ENGINE__ = {
    state,
    frame,
    settle,
    flush: views.flushAnimationFrames,
    media: media.list,
    learn: media.learn,
    volumes: media.volumes,
    strayMedia: media.strays,
  };
})();
