/* Parts that pages share: language button, banner, notice, token dialog, text tools. */

import { save, asText } from "./export.js";
import { language, t } from "./i18n.js";
import { Notice, ServerBanner, askForToken } from "./notice.js";

export const $ = (id) => document.getElementById(id);

/** Start the common parts of the page and return its notice. onReady: called with each state of the server;
 *  everyMs: time between two requests for it. */
export function beginPage(onReady = () => {}, everyMs = undefined) {
  beginLanguage();
  const banner = new ServerBanner($("banners"), onReady, everyMs);
  banner.begin();
  return new Notice($("notice"), () => banner.check());
}

/** Show the page in the language of the user, with a title in it, and start the button that changes it. */
export function beginLanguage() {
  const retitle = () => (document.title = t(document.body.dataset.title));
  language.addEventListener("language", retitle);
  language.begin();
  const button = $("language");
  const mark = () => (button.lang = language.current === "en" ? "ko" : "en");
  language.addEventListener("language", mark);
  mark();
  button.addEventListener("click", () => language.toggle());
}

export function askToken() {
  return askForToken($("token"));
}

/** Wire the buttons that copy, download and clear. lines(): the lines on screen; onClear(): removes them. */
export function wireTools({ lines, session, onClear }) {
  const withText = () => lines().filter((line) => line.text.trim()); // a revision can withdraw the text of a line
  const act = {
    copy: (button) => copy(button, withText()),
    txt: () => save("txt", withText(), session()),
    srt: () => save("srt", withText(), session()),
    json: () => save("json", withText(), session()),
    clear: onClear,
  };
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => act[button.dataset.tool](button));
  }
  const relabel = () => {
    for (const kind of ["txt", "srt", "json"])
      document.querySelector(`[data-tool=${kind}]`).title = t("tools.download", { kind: kind.toUpperCase() });
  };
  language.addEventListener("language", relabel);
  relabel();
}

/** Enable the text tools if there is text. */
export function enableTools(hasText) {
  for (const button of document.querySelectorAll("[data-tool]")) button.disabled = !hasText;
}

async function copy(button, lines) {
  const isCopied = await toClipboard(asText(lines));
  button.textContent = t(isCopied ? "tools.copied" : "tools.copyFailed");
  setTimeout(() => (button.textContent = t("tools.copy")), 2000);
}

export async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyWithoutClipboard(text); // pages without https have no clipboard
  }
}

function copyWithoutClipboard(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}
