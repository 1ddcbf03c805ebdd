/* The language of the pages, English or Korean (not the spoken language). Owns the choice and its storage.
 *
 * Elements have data-i18n="key" (text), data-i18n-label="key" (aria-label) or data-i18n-placeholder="key". Scripts call
 * t(key, values), and draw again on the event "language" of `language`. A missing key is shown as it is; a test compares
 * the keys of the two languages.
 */

import liveEn from "./desk/live-strings-en.js";
import liveKo from "./desk/live-strings-ko.js";
import alertsEn from "./alerts/strings-en.js";
import alertsKo from "./alerts/strings-ko.js";
import captureEn from "./capture/strings-en.js";
import captureKo from "./capture/strings-ko.js";
import connectEn from "./connect/strings-en.js";
import connectKo from "./connect/strings-ko.js";
import deskEn from "./desk/strings-en.js";
import deskKo from "./desk/strings-ko.js";
import peopleEn from "./desk/people/strings-en.js";
import peopleKo from "./desk/people/strings-ko.js";
import timelineEn from "./desk/timeline/strings-en.js";
import timelineKo from "./desk/timeline/strings-ko.js";
import usualEn from "./desk/usual/strings-en.js";
import usualKo from "./desk/usual/strings-ko.js";
import glossaryEn from "./glossary/strings-en.js";
import glossaryKo from "./glossary/strings-ko.js";
import healthEn from "./health/strings-en.js";
import healthKo from "./health/strings-ko.js";
import recordingsEn from "./recordings/strings-en.js";
import recordingsKo from "./recordings/strings-ko.js";
import en from "./strings-en.js";
import ko from "./strings-ko.js";

export const STRINGS = {
  en: { ...en, ...alertsEn, ...captureEn, ...connectEn, ...deskEn, ...liveEn, ...peopleEn, ...timelineEn, ...usualEn, ...glossaryEn, ...healthEn, ...recordingsEn },
  ko: { ...ko, ...alertsKo, ...captureKo, ...connectKo, ...deskKo, ...liveKo, ...peopleKo, ...timelineKo, ...usualKo, ...glossaryKo, ...healthKo, ...recordingsKo },
};
const KEY = "host-stt.ui-language";

class Language extends EventTarget {
  current = "en";

  begin() {
    const wanted = localStorage.getItem(KEY) ?? navigator.language ?? "en";
    this.set(wanted.toLowerCase().startsWith("ko") ? "ko" : "en");
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

/** The text of a key; {name} in it is replaced by values.name. With n = 1, the text of "key.one" if there is one. */
export function t(key, values = {}) {
  const texts = STRINGS[language.current];
  const text = (values.n === 1 && texts[`${key}.one`]) || (texts[key] ?? STRINGS.en[key] ?? key);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function has(key) {
  return key in STRINGS.en;
}

/** Set the texts of the elements inside of root: `set` does it for the page, a part that comes later for itself. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  for (const element of root.querySelectorAll("[data-i18n-label]"))
    element.setAttribute("aria-label", t(element.dataset.i18nLabel));
  for (const element of root.querySelectorAll("[data-i18n-placeholder]"))
    element.setAttribute("placeholder", t(element.dataset.i18nPlaceholder));
}
