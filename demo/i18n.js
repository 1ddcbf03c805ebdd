/* Two languages for the pages themselves (what is spoken is chosen elsewhere). Owns the choice and where it is kept.
 *
 * Elements carry data-i18n="key" (text) or data-i18n-label="key" (aria-label); scripts call t(key, values) and listen to
 * "language" on `language` to draw again. A missing key shows itself, and a test compares the two lists.
 */

import en from "./strings-en.js";
import ko from "./strings-ko.js";

export const STRINGS = { en, ko };
const KEY = "host-stt.ui-language";

class Language extends EventTarget {
  current = "en";

  begin() {
    const wished = localStorage.getItem(KEY) ?? navigator.language ?? "en";
    this.set(wished.toLowerCase().startsWith("ko") ? "ko" : "en");
  }

  set(name) {
    this.current = name;
    document.documentElement.lang = name;
    translate(document);
    this.dispatchEvent(new Event("language"));
  }

  toggle() {
    const next = this.current === "en" ? "ko" : "en";
    localStorage.setItem(KEY, next);
    this.set(next);
  }
}

export const language = new Language();

/** The text of a key, with {names} filled in. */
export function t(key, values = {}) {
  const text = STRINGS[language.current][key] ?? STRINGS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function has(key) {
  return key in STRINGS.en;
}

export function translate(root) {
  for (const element of root.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  for (const element of root.querySelectorAll("[data-i18n-label]"))
    element.setAttribute("aria-label", t(element.dataset.i18nLabel));
  for (const element of root.querySelectorAll("[data-i18n-placeholder]"))
    element.setAttribute("placeholder", t(element.dataset.i18nPlaceholder));
}
