/* What both pages have: the language button, the server banner, the notice, the question for a token, the text tools. */

import { save, asText } from "./export.js";
import { language, t } from "./i18n.js";
import { Notice, ServerBanner, askForToken } from "./notice.js";

export const $ = (id) => document.getElementById(id);

/** Wire the frame of the page and return its notice. */
export function beginPage() {
  const retitle = () => (document.title = t(document.body.dataset.title));
  language.addEventListener("language", retitle);
  language.begin();
  const button = $("language");
  const mark = () => (button.lang = language.current === "en" ? "ko" : "en");
  language.addEventListener("language", mark);
  mark();
  button.addEventListener("click", () => language.toggle());
  const banner = new ServerBanner($("banners"));
  banner.begin();
  return new Notice($("notice"), () => banner.ask());
}

export function askToken() {
  return askForToken($("token"));
}

/** Copy, download and clear. lines(): what is shown now; onClear(): forget it. */
export function wireTools({ lines, session, onClear }) {
  const act = {
    txt: () => save("txt", lines(), session()),
    srt: () => save("srt", lines(), session()),
    json: () => save("json", lines(), session()),
    clear: onClear,
  };
  for (const button of document.querySelectorAll("[data-tool]")) {
    const tool = button.dataset.tool;
    button.addEventListener("click", () => (tool === "copy" ? copy(button, lines()) : act[tool]()));
  }
  const relabel = () => {
    for (const kind of ["txt", "srt", "json"])
      document.querySelector(`[data-tool=${kind}]`).title = t("tools.download", { kind: kind.toUpperCase() });
  };
  language.addEventListener("language", relabel);
  relabel();
}

/** The tools make no sense while there is nothing to take. */
export function enableTools(isThereText) {
  for (const button of document.querySelectorAll("[data-tool]")) button.disabled = !isThereText;
}

async function copy(button, lines) {
  const isCopied = await toClipboard(asText(lines));
  button.textContent = t(isCopied ? "tools.copied" : "tools.copyFailed");
  setTimeout(() => (button.textContent = t("tools.copy")), 2000);
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyTheOldWay(text); // no clipboard on pages without https
  }
}

function copyTheOldWay(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}
