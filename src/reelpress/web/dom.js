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

/** A button; `does` hears its click. An icon stands before its words, or alone with the words as its name. */
export function button(words, does, { picture = null, alone = false, ...attributes } = {}) {
  const element = make("button", { type: "button", ...attributes }, picture, alone ? null : make("span", {}, words));
  if (alone) {
    element.setAttribute("aria-label", words);
    element.title = words;
  }
  element.addEventListener("click", does);
  return element;
}

/** Have a link do something in this page; with a key held, the browser opens it elsewhere. */
export function opensHere(link, does) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    does();
  });
  return link;
}

/** A choice of one among several, as radio buttons: `choices` are [value, words]; `onChoose` hears the value. */
export function radios(legend, name, choices, onChoose, { hidden = false } = {}) {
  const group = make("fieldset", { class: "segments" }, make("legend", { class: hidden ? "hidden" : null }, legend));
  const row = make("div", { class: "segment-row" });
  for (const [value, words] of choices) {
    const input = make("input", { type: "radio", name, value });
    input.addEventListener("change", () => onChoose(value));
    row.append(make("label", { class: "segment" }, input, make("span", {}, words)));
  }
  group.append(row);
  return group;
}

/** Show which of some radio buttons is chosen. */
export function choose(group, value) {
  for (const input of group.querySelectorAll("input")) input.checked = input.value === value;
}

/** Keep the elements of a list in step with values, by their keys: what stays is not made anew, so focus stays. */
export function keep(list, values, keyOf, makeOne, update) {
  const old = new Map([...list.children].map((element) => [element.dataset.key, element]));
  let place = list.firstElementChild;
  values.forEach((value, n) => {
    const id = keyOf(value);
    let element = old.get(id);
    if (element) old.delete(id);
    else {
      element = makeOne(value);
      element.dataset.key = id;
    }
    if (element === place) place = place.nextElementSibling;
    else list.insertBefore(element, place);
    update(element, value, n);
  });
  for (const element of old.values()) element.remove();
}
