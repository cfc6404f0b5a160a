/*
 * What is wrong with how a panel is laid out, in sentences: text that is cut, lies over other text
 * or sticks out, charts without a size, and a horizontal scrollbar.
 */
panel => {
  const MIN_PX = 1.5;
  const wrong = [];
  const outer = panel.getBoundingClientRect();
  const isSeen = element =>
    element.checkVisibility({ visibilityProperty: true }) && !element.closest('.jg-hidden');
  const isClipping = style => ['hidden', 'clip'].includes(style.overflowX);
  const isEllipsis = style => isClipping(style) && style.textOverflow === 'ellipsis';
  const name = element => {
    const words = element.textContent.trim().replace(/\s+/g, ' ').slice(0, 40);
    return `${element.tagName.toLowerCase()}.${element.getAttribute('class') ?? ''} “${words}”`;
  };

  /** Where an element's own text is; glyphs fill the middle of their line. */
  const textBoxes = element => {
    const boxes = [];
    for (const node of element.childNodes) {
      if (node.nodeType === Node.TEXT_NODE && node.data.trim() !== '') {
        const range = document.createRange();
        range.selectNodeContents(node);
        boxes.push(...range.getClientRects());
      }
    }
    return boxes
      .filter(box => box.width > 0)
      .map(({ left, right, top, bottom, height }) => {
        const margin = height * 0.2;
        return { left, right, top: top + margin, bottom: bottom - margin };
      });
  };

  /** What is left of a box within the ancestors that cut; null where a list has scrolled it away. */
  const within = (box, element) => {
    let cut = { ...box };
    for (let at = element; at !== panel && at !== null; at = at.parentElement) {
      const style = getComputedStyle(at);
      const frame = at.getBoundingClientRect();
      if (/auto|scroll/.test(style.overflowY)) {
        cut.top = Math.max(cut.top, frame.top);
        cut.bottom = Math.min(cut.bottom, frame.bottom);
        if (cut.bottom - cut.top < MIN_PX) {
          return null;
        }
      } else if (isEllipsis(style)) {
        cut.left = Math.max(cut.left, frame.left);
        cut.right = Math.min(cut.right, frame.right);
      } else if (isClipping(style)) {
        const lost = Math.max(
          frame.left - cut.left,
          cut.right - frame.right,
          frame.top - cut.top,
          cut.bottom - frame.bottom
        );
        if (lost > MIN_PX) {
          wrong.push(`cut by ${name(at)}: ${name(element)}`);
        }
      }
    }
    return cut;
  };

  const things = [];
  for (const element of panel.querySelectorAll('*')) {
    if (!isSeen(element)) {
      continue;
    }
    const isControl = ['BUTTON', 'SELECT'].includes(element.tagName);
    const boxes = isControl ? [element.getBoundingClientRect()] : textBoxes(element);
    for (const box of boxes) {
      const cut = element.tagName === 'OPTION' ? null : within(box, element);
      if (cut === null || cut.right - cut.left < MIN_PX) {
        continue;
      }
      things.push({ element, box: cut });
      if (cut.left < outer.left - MIN_PX || cut.right > outer.right + MIN_PX) {
        wrong.push(`sticks out of the panel: ${name(element)}`);
      }
    }
    const figure = element.matches('.jg-e, .jg-t, .jg-c, .jg-figure b');
    if (figure && element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0) {
      wrong.push(`a figure that is cut: ${name(element)}`);
    }
  }

  things.forEach((one, index) => {
    for (const other of things.slice(index + 1)) {
      const related = one.element.contains(other.element) || other.element.contains(one.element);
      const wide = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
      const high = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
      if (!related && wide > MIN_PX && high > MIN_PX) {
        wrong.push(`${name(one.element)} and ${name(other.element)} overlap`);
      }
    }
  });

  for (const chart of panel.querySelectorAll('.u-wrap canvas, .jg-learn svg')) {
    const { width, height } = chart.getBoundingClientRect();
    if (isSeen(chart) && (width < 100 || height < 60)) {
      wrong.push(`a chart of ${width} by ${height} px`);
    }
  }
  if (panel.scrollWidth > panel.clientWidth) {
    wrong.push(`a horizontal scrollbar: ${panel.scrollWidth} px in ${panel.clientWidth} px`);
  }
  return [...new Set(wrong)];
};
