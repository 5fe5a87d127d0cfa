// Builds elements. Text only ever goes in as text nodes: nothing that a model writes, a file is called or a
// person types can become markup. There is no innerHTML in this page (its Content-Security-Policy forbids it too).

/**
 * element("button", { class: "quiet", type: "button", onclick: stop }, icon("close"), "Stop")
 *
 * A property that starts with "on" is a listener, true and false set or leave out an attribute, null and undefined
 * are left out, everything else is an attribute. Children are nodes, texts, or lists of them.
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child); // One by one: there may be many.
  }
  return node;
}

export const find = (selector, root = document) => root.querySelector(selector);

const END = 8; // Characters of a long name's end that stay in sight: the extension, and a bit before it.

/** A name, on one line, that loses its middle where there is no room for it: a file's extension stays in sight. */
export function middleCut(name, properties = {}) {
  // One text, so that it is copied and read aloud whole and once; where it does not fit, CSS draws its end again.
  const text = document.createTextNode(name);
  const end = document.createRange();
  end.setStart(text, name.length - Math.min(Math.floor(name.length / 2), Array.from(name).slice(-END).join("").length));
  end.setEnd(text, name.length);
  const node = element("span", { ...properties, class: `cut ${properties.class ?? ""}`, title: name, "data-end": end.toString() }, text);
  ends.set(node, end);
  fitting.observe(node);
  return node;
}

const ends = new WeakMap(); // The end of each such name, as a range of its text.
const fitting = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    target.style.paddingInlineEnd = "";
    const over = target.scrollWidth > target.clientWidth;
    if (over) target.style.paddingInlineEnd = `${Math.ceil(ends.get(target).getBoundingClientRect().width)}px`;
    target.classList.toggle("over", over);
  }
});

/** Whether the layout is at most this wide; the same widths as in page.css. */
export const media = {
  sheet: matchMedia("(max-width: 1099px)"),
  phone: matchMedia("(max-width: 699px)"),
  still: matchMedia("(prefers-reduced-motion: reduce)"),
};

const SVG = "http://www.w3.org/2000/svg";

// 24 × 24 outlines, drawn with the colour of the text around them.
const ICONS = {
  search: "M10.5 17a6.5 6.5 0 1 1 0-13 6.5 6.5 0 0 1 0 13Zm4.8-1.7L20 20",
  up: "M7 10.5v9H4v-9h3Zm0 0 4-7c1.5 0 2.5 1 2.2 2.6L12.6 9.5H18a2 2 0 0 1 2 2.4l-1.2 6A2 2 0 0 1 16.8 19.5H7",
  down: "M17 13.5v-9h3v9h-3Zm0 0-4 7c-1.5 0-2.5-1-2.2-2.6l.6-3.4H6a2 2 0 0 1-2-2.4l1.2-6A2 2 0 0 1 7.2 4.5H17",
  chat: "M4 5h16v11H9.5L5.5 19.5V16H4V5Z",
  document: "M6 3h8l5 5v13H6V3Zm8 0v5h5",
  coin: "M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18Zm0-13.5v9m-2.5-6.5 2.5-2.5 2.5 2.5",
  list: "M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6 6 18",
  previous: "M14.5 6l-6 6 6 6",
  next: "M9.5 6l6 6-6 6",
  below: "M12 5v14m-6-6 6 6 6-6",
  expand: "M7 10l5 5 5-5",
  trash: "M5 7h14M10 7V4h4v3m-7.5 0 1 13h9l1-13",
  pencil: "M4.5 19.5l1-4L16 5l3 3L8.5 18.5l-4 1Zm9.5-12.5 3 3",
  copy: "M9 9h10.5v10.5H9V9Zm-3.5 6H4.5V4.5H15v1",
  done: "M5 12.5l4.5 4.5L19 7.5",
  again: "M19 6v4.5h-4.5M5 18v-4.5h4.5M6.5 9.5a6.3 6.3 0 0 1 11.2-1.7L19 10.5M5 13.5l1.3 2.7a6.3 6.3 0 0 0 11.2-1.7",
  larger: "M10.5 17a6.5 6.5 0 1 1 0-13 6.5 6.5 0 0 1 0 13Zm4.8-1.7L20 20M7.5 10.5h6m-3-3v6",
  smaller: "M10.5 17a6.5 6.5 0 1 1 0-13 6.5 6.5 0 0 1 0 13Zm4.8-1.7L20 20M7.5 10.5h6",
  warning: "M12 4 2.5 20h19L12 4Zm0 6v5m0 2.5v.1",
  save: "M12 5v11m-5-5 5 5 5-5M5 19h14",
  upload: "M12 16V5m-5 5 5-5 5 5M5 19h14",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  svg.append(shape("path", { d: ICONS[name] }));
  return svg;
}

/** An SVG element with attributes. */
export function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** An icon that is a button; the label is its name for everyone who does not see the icon. */
export function iconButton(name, label, onclick, properties = {}) {
  return element("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...properties }, icon(name));
}

/** Ask before something is lost; resolves to true or false. */
export function confirmed(question, { yes, no }) {
  return new Promise((resolve) => {
    const dialog = element("dialog", { class: "ask", "aria-labelledby": "ask-question" });
    const answer = (value) => () => dialog.close(value);
    dialog.append(
      element("p", { id: "ask-question" }, question),
      element(
        "div",
        { class: "row end" },
        element("button", { type: "button", class: "quiet", onclick: answer("") }, no),
        element("button", { type: "button", class: "primary", onclick: answer("yes") }, yes),
      ),
    );
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
