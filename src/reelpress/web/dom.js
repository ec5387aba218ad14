// Making elements. Text always goes in as text: names of jobs are written by strangers.

/** Make an element; `attributes` are set as they are, `children` are elements or text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Set an element's text if it is another: what did not change is not touched, nor read out again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute if it is another. */
export function mark(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A status as a word with a dot; the word carries the meaning, the colour only helps. */
export function badge(status) {
  return make("span", { class: "badge", "data-status": status }, status);
}

/** A part of the panel under a heading. */
export function section(title, ...children) {
  return make("section", {}, make("h3", {}, title), ...children);
}

/** Names and values, as a list of descriptions. */
export function facts(rows) {
  const list = make("dl", {});
  for (const [name, value] of rows) {
    if (value != null && value !== "") list.append(make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
  }
  return list;
}
