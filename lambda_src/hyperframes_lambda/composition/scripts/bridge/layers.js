/*
 * One layer. An element in a compositing layer of its own (will-change, a running animation, a transform written with 3D functions) keeps the
 * scale and the subpixel shift it was first rastered with, and its edges show what that memory held before: the same moment would differ by a
 * few pixels between chunks. `will-change: contents` on the root switches the first two off below it. A transform that is written in 3D but
 * stays in the plane is replaced by its 2D matrix until the next seek. A truly three-dimensional one keeps its layer.
 */
const layers = (() => {
  const IN_SPACE = /3d\(|translateZ\(/;
  const replaced = [];
  const selectorsBySheet = new WeakMap();
  const spatialAnimations = new WeakMap();

  function flattenAll(view) {
    const { style } = view.document.documentElement;
    if (style.getPropertyPriority("will-change") !== "important") style.setProperty("will-change", "contents", "important");
    for (const tree of views.trees(view)) {
      const selectors = [...Array.from(tree.styleSheets).flatMap(selectorsOf), '[style*="3d("]', '[style*="translateZ("]'];
      tree.querySelectorAll(selectors.join(", ")).forEach(flatten);
      for (const animation of tree.getAnimations()) {
        const effect = animation.effect;
        if (effect?.target && !effect.pseudoElement && isSpatial(animation)) flatten(effect.target);
      }
    }
  }

  function flatten(element) {
    if (!element.style) return;
    const matrix = element.ownerDocument.defaultView.getComputedStyle(element).transform;
    if (!matrix.startsWith("matrix(")) return;
    replaced.push([element, element.style.getPropertyValue("transform"), element.style.getPropertyPriority("transform")]);
    element.style.setProperty("transform", matrix, "important");
  }

  function restoreTransforms() {
    for (const [element, value, priority] of replaced.splice(0)) element.style.setProperty("transform", value, priority);
  }

  /* Selectors of the rules with a transform in space. */
  function selectorsOf(sheet) {
    const rules = readableRules(sheet);
    const known = selectorsBySheet.get(sheet);
    if (known?.length === rules.length) return known.selectors;
    const selectors = collectSelectors(rules);
    selectorsBySheet.set(sheet, { length: rules.length, selectors });
    return selectors;
  }

  /* A style sheet of another origin does not reveal its rules. */
  function readableRules(sheet) {
    try {
      return sheet.cssRules;
    } catch (error) {
      if (error.name !== "SecurityError") throw error;
      return [];
    }
  }

  function collectSelectors(rules) {
    return Array.from(rules).flatMap((rule) => {
      const own = rule.selectorText && IN_SPACE.test(rule.style.transform) && !rule.selectorText.includes("::") ? [rule.selectorText] : [];
      return rule.cssRules && !(rule instanceof CSSKeyframesRule) ? own.concat(collectSelectors(rule.cssRules)) : own;
    });
  }

  /* Between lists of different functions the browser interpolates a 3D matrix, even if both ends are flat. */
  function isSpatial(animation) {
    if (!spatialAnimations.has(animation)) {
      const written = animation.effect.getKeyframes().flatMap(({ transform }) => (transform && transform !== "none" ? [transform] : []));
      const shapes = new Set(written.map((transform) => transform.replace(/\([^)]*\)/g, "()")));
      spatialAnimations.set(animation, shapes.size > 1 || written.some((transform) => IN_SPACE.test(transform)));
    }
    return spatialAnimations.get(animation);
  }

  return { flattenAll, restoreTransforms };
})();
