// Build elements. Text from the API becomes text nodes, so that it is never read as markup.

/** Return a new element with attributes and children: nodes, or strings that become text; null is left out. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Return a count with a noun: `1 token`, `2 tokens`. */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return the element of the page with an id. */
export function byId(id) {
  return document.getElementById(id);
}
