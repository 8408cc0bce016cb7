// Elements of HTML and SVG. Text is only ever set as text: what the rows hold was written by strangers.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, to] of Object.entries(value)) element.style.setProperty(key, to);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
export const s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

// Replace what is in `place`, unless it says the same already: a reader's selection and focus stay.
export function show(place, ...children) {
  const next = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  const fresh = document.createElement(place.tagName);
  fresh.append(...next);
  merge(place, fresh);
}

// Make `old` like `fresh` with as few changes as possible, so that focus, scrolling and open details survive.
function merge(old, fresh) {
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((node, index) => {
    const there = before[index];
    if (!there) return old.append(node);
    if (!alike(there, node)) return there.replaceWith(node);
    if (there.nodeType === Node.TEXT_NODE) {
      if (there.data !== node.data) there.data = node.data;
    } else if (!there.isEqualNode(node)) {
      if (listens(node) || listens(there)) return there.replaceWith(node);
      for (const { name } of [...there.attributes]) {
        if (!node.hasAttribute(name) && !(name === "open" && there.tagName === "DETAILS")) there.removeAttribute(name);
      }
      for (const { name, value } of [...node.attributes]) {
        if (there.getAttribute(name) === value) continue;
        if (name === "style") there.style.cssText = value; // what may set a style by its attribute is refused
        else there.setAttribute(name, value);
      }
      merge(there, node);
    }
  });
  before.slice(after.length).forEach((node) => node.remove());
}

const alike = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName && one.getAttribute?.("data-key") === other.getAttribute?.("data-key");

// An element whose handler closes over what it shows cannot be patched in place.
const listens = (node) => node.nodeType === Node.ELEMENT_NODE && node.hasAttribute("data-acts");
