/* Small makers of elements for the page of the alerts. */

export function element(name, { className = "", text = "", lang = "" } = {}, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  if (lang) made.lang = lang;
  made.append(...children);
  return made;
}

/** label: for screen readers, where the text alone says too little. */
export function button(text, label, onClick) {
  const made = element("button", { className: "quiet", text });
  made.type = "button";
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", onClick);
  return made;
}

export function when(iso) {
  return iso ? new Date(iso).toLocaleString(document.documentElement.lang, { dateStyle: "short", timeStyle: "medium" }) : "";
}
