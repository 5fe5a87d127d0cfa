// Looking closer at a picture: buttons, keys, the wheel with Ctrl (as a pinch on a trackpad is), two fingers, dragging.

const STEPS = [1, 1.25, 1.5, 2, 2.5, 3, 4];
const MOST = STEPS.at(-1);
const EDGE = 12; // Pixels between the edge and what is marked.
const PER_WHEEL = 0.01; // How much a wheel's pixel changes.

/**
 * Zoom what is shown in `viewport`, an element that scrolls. `show(figure)` sets it, null for nothing that can
 * be zoomed; `anchor()` may give an element to keep in sight; `onChange(factor)` is called when it has changed.
 */
export function createZoom(viewport, { anchor = () => null, onChange = () => {} } = {}) {
  let figure = null;
  let factor = 1;

  function show(wanted) {
    figure = wanted;
    apply();
  }

  function apply() {
    if (figure) figure.style.width = `${factor * 100}%`;
    viewport.classList.toggle("zoomed", figure !== null && factor > 1);
    onChange(factor);
  }

  /** Set the factor; the point of the picture at (x, y) of the window stays where it is. */
  function set(wanted, place = null) {
    const byButton = place === null;
    const { x, y } = place ?? centre();
    if (!figure) return;
    const before = figure.getBoundingClientRect();
    const [across, down] = [(x - before.left) / before.width, (y - before.top) / before.height];
    factor = Math.min(MOST, Math.max(1, wanted));
    apply();
    const after = figure.getBoundingClientRect();
    viewport.scrollLeft += after.left + across * after.width - x;
    viewport.scrollTop += after.top + down * after.height - y;
    // The beginning of what is marked stays in sight: lines are read from there.
    const start = anchor()?.getBoundingClientRect().left - viewport.getBoundingClientRect().left - EDGE;
    if (byButton && start < 0) viewport.scrollLeft += start;
  }

  /** Where to zoom without a pointer: at what is marked, if it is in sight, else in the middle. */
  function centre() {
    const [seen, marked] = [viewport.getBoundingClientRect(), anchor()?.getBoundingClientRect()];
    const middle = ({ left, top, width, height }) => ({ x: left + width / 2, y: top + height / 2 });
    const inSight = marked && marked.bottom > seen.top && marked.top < seen.bottom;
    return middle(inSight ? marked : seen);
  }

  const larger = () => set(STEPS.find((step) => step > factor + 0.01) ?? MOST);
  const smaller = () => set(STEPS.findLast((step) => step < factor - 0.01) ?? 1);
  const reset = () => set(1);

  viewport.addEventListener("keydown", (event) => {
    const act = { "+": larger, "=": larger, "-": smaller, 0: reset }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || !figure) return;
    event.preventDefault();
    act();
  });

  viewport.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey || !figure) return;
      event.preventDefault(); // Else the browser would zoom the whole page.
      set(factor * Math.exp(-event.deltaY * PER_WHEEL), { x: event.clientX, y: event.clientY });
    },
    { passive: false },
  );

  // Two fingers. ------------------------------------------------------------------------------------------------------
  let pinch = null; // { distance, factor } when the second finger came.

  viewport.addEventListener("touchstart", ({ touches }) => (pinch = touches.length === 2 ? { distance: between(touches), factor } : null), { passive: true });
  viewport.addEventListener("touchend", () => (pinch = null), { passive: true });
  viewport.addEventListener(
    "touchmove",
    (event) => {
      if (!pinch || event.touches.length !== 2) return;
      event.preventDefault();
      const [one, other] = event.touches;
      set((pinch.factor * between(event.touches)) / pinch.distance, { x: (one.clientX + other.clientX) / 2, y: (one.clientY + other.clientY) / 2 });
    },
    { passive: false },
  );

  // Dragging with the mouse; fingers scroll by themselves. --------------------------------------------------------------
  viewport.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0 || factor === 1 || !figure?.contains(event.target)) return;
    event.preventDefault();
    viewport.setPointerCapture(event.pointerId);
    const move = ({ movementX, movementY }) => viewport.scrollBy(-movementX, -movementY);
    viewport.addEventListener("pointermove", move);
    viewport.addEventListener("lostpointercapture", () => viewport.removeEventListener("pointermove", move), { once: true });
  });

  /** Begin anew, whether something is shown or not. */
  function restart() {
    factor = 1;
    apply();
  }

  return { show, larger, smaller, restart };
}

const between = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
