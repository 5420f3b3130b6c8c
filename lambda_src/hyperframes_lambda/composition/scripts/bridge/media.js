/* The page's media elements as the engine sees them, on top of media.js and sound.js, which run in every view. */
const media = (() => {
  /* Every element with its source, in the order of the numbers that the engine knows them by. */
  const listed = [];

  const viewOf = (element) => element.ownerDocument.defaultView;
  const sourceOf = (element) => viewOf(element).__HF_MEDIA__.sourceOf(element);
  const elements = () => views.all().flatMap((view) => view.__HF_MEDIA__?.elements() ?? []);

  function reference(element) {
    const page = decodeURIComponent(element.ownerDocument.location.pathname.slice(1));
    return { tag: element.localName, id: element.id, page };
  }

  const wanted = (found) => found.map((element) => ({ url: sourceOf(element), ...reference(element) }));

  function describe({ element }, index) {
    return {
      index,
      ...reference(element),
      src: sourceOf(element),
      /* Only the runtime hides an ended clip. */
      held: viewOf(element) !== window || !player.isBridged() || !element.isConnected,
      ...timing.mediaWindow(element),
      mediaStart: timing.inPoint(element),
      rate: timing.playbackRate(element),
      loop: element.loop,
      hasAudio: element.getAttribute("data-has-audio"),
      hidden: element.closest("[data-hidden]") !== null,
      sound: viewOf(element).__HF_SOUND__.describe(element),
    };
  }

  return {
    list() {
      for (const element of elements()) {
        const source = sourceOf(element);
        if (source && !listed.some((entry) => entry.element === element)) listed.push({ element, source });
      }
      return listed.map(describe);
    },
    /* References to files that the engine has not looked into yet. */
    unknown: () => wanted(elements().filter((element) => sourceOf(element) && !viewOf(element).__HF_MEDIA__.knows(sourceOf(element)))),
    /* Elements that appeared, or changed their source, after `list`. */
    strays() {
      const isListed = (element, source) => listed.some((entry) => entry.element === element && entry.source === source);
      return wanted(elements().filter((element) => sourceOf(element) && !isListed(element, sourceOf(element))));
    },
    learn(url, facts) {
      for (const view of views.all()) view.__HF_MEDIA__?.learn(url, facts);
    },
    volumes: () => listed.map(({ element }) => viewOf(element).__HF_SOUND__.volume(element)),
    /* `pictures` is [[number of the element, URL, source time], …]. */
    show(pictures) {
      const shown = pictures.map(([index, picture, time]) => [listed[index].element, picture, time]);
      return Promise.all(views.all().map((view) => view.__HF_MEDIA__?.show(shown.filter(([element]) => viewOf(element) === view))));
    },
  };
})();
