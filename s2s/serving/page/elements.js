// Build elements. Text is always text: nothing from the server is parsed as HTML.

export function element(kind, properties = {}, ...children) {
  const made = document.createElement(kind);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}
