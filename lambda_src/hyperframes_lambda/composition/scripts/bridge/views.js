/* Views: the windows that make up the page, their document and shadow trees, and the clocks that virtual_time.js gives them. */
const views = (() => {
  /* The page and every same-origin frame below it, outermost first. */
  function all() {
    const found = [window];
    for (const view of found) {
      for (let i = 0; i < view.frames.length; i++) {
        try {
          if (view.frames[i].document) found.push(view.frames[i]);
        } catch (error) {
          if (error.name !== "SecurityError") throw error; // a frame of another origin cannot be driven
        }
      }
    }
    return found;
  }

  const clocks = () =>
    all()
      .map((view) => view.__HF_VIRTUAL_TIME__)
      .filter(Boolean);

  /* The document and its shadow trees: queries and lists of animations never cross the boundary between two trees. */
  const trees = (view) => [view.document, ...(view.__HF_VIRTUAL_TIME__?.shadowTrees() ?? [])];

  function setClocks(seconds) {
    for (const clock of clocks()) clock.setTime(seconds * 1000);
  }

  function flushAnimationFrames() {
    for (const clock of clocks()) clock.flush();
  }

  /* Every <img> of a document and its shadow trees. */
  const images = (view) => trees(view).flatMap((tree) => Array.from(tree.querySelectorAll("img")));

  return { all, trees, images, setClocks, flushAnimationFrames, takeErrors: () => clocks().flatMap((clock) => clock.takeErrors()) };
})();
