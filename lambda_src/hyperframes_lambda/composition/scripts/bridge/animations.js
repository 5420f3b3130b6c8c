/*
 * Animations that the runtime does not drive: those of child frames and shadow trees, CSS animations created after the runtime looked, CSS
 * transitions and SVG animations.
 *
 * A CSS animation takes its time from the clip around it: zero when the clip starts. The runtime does this for the animations that exist when
 * it looks; a later one (on an element that was not displayed, or by a class that a script sets) would begin at whichever frame a chunk shows
 * first. A transition has no place on the timeline and ends as soon as it begins. The runtime keeps the script-made animations of the entry
 * page; those of child frames and shadow trees begin at zero.
 */
const animations = (() => {
  function sync(view, seconds) {
    for (const tree of views.trees(view)) {
      syncAnimations(view, tree, seconds);
      syncSvg(tree, seconds);
    }
  }

  function syncAnimations(view, tree, seconds) {
    const owned = new Map();
    for (const animation of timed(view, tree)) {
      if (animation instanceof view.CSSTransition) {
        animation.finish();
      } else if (animation instanceof view.CSSAnimation) {
        if (takeOwned(owned, view, animation)) setTime(animation, Math.max(0, seconds - timing.clipStart(animation.effect.target)));
        else animation.cancel();
      } else if (tree !== document) {
        setTime(animation, seconds);
      }
    }
  }

  function syncSvg(tree, seconds) {
    if (!tree.querySelector("animate, animateTransform, animateMotion, set")) return;
    for (const svg of tree.querySelectorAll("svg")) {
      if (svg.ownerSVGElement) continue;
      svg.pauseAnimations();
      svg.setCurrentTime(Math.max(0, seconds - timing.clipStart(svg)));
    }
  }

  /* The animations that time drives. Those that a scroller drives play on by themselves; the runtime has paused them. */
  function timed(view, tree) {
    return tree.getAnimations().filter((animation) => {
      if (animation.timeline === view.document.timeline) return true;
      if (animation.timeline && animation.playState === "paused") animation.play();
      return false;
    });
  }

  /*
   * Whether the element's style still names this animation. An animation that ended because its element was not displayed comes back to life
   * when the runtime sets its time, beside the one that the style has started anew; the list has those of the style first.
   */
  function takeOwned(owned, view, animation) {
    const { target, pseudoElement } = animation.effect;
    const key = pseudoElement || "";
    const names = owned.get(target) || {};
    owned.set(target, names);
    names[key] ??= view.getComputedStyle(target, pseudoElement).animationName.split(", ");
    const index = names[key].indexOf(animation.animationName);
    if (index >= 0) names[key].splice(index, 1);
    return index >= 0;
  }

  function setTime(animation, seconds) {
    if (animation.playState !== "paused") animation.pause();
    animation.currentTime = seconds * 1000;
  }

  return { sync };
})();
