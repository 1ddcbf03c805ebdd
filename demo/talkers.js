/* The names of the radios that were heard in lines. Pure. */

import { t } from "./i18n.js";

/** lines: finals, some with `talkers`. Returns each name once, in the order in which they were heard. */
export function namesOfTalkers(lines) {
  return [...new Set(lines.flatMap((line) => (line.talkers ?? []).map(nameOfTalker)))];
}

const nameOfTalker = (talker) => talker.label || t("text.radio", { id: talker.id });
