/* Draws a summary: what made it, its sentences with their links, its topics, and what it did not see. */

import { language, t } from "../i18n.js";
import { timecode } from "../timecode.js";

const SECTIONS = ["summary", "decisions", "actions"];

/** Draw into `article`. summary: as the server sent it, or null. onJump(segment, channel): a link was followed. */
export function draw(article, summary, onJump) {
  const content = summary?.content;
  if (!content) return article.replaceChildren();
  const link = (cite) => citation(cite, content.cited[cite], summary.channel === null, onJump);
  const parts = [made(summary)];
  if (content.title) parts.push(element("h3", content.title));
  if (content.lines === 0) parts.push(element("p", t("desk.summary.empty")));
  for (const name of SECTIONS) {
    if (content[name].length === 0) continue;
    if (name !== "summary") parts.push(element("h4", t(`desk.summary.${name}`)));
    const list = document.createElement("ul");
    list.append(...content[name].map((sentence) => sentenceItem(sentence, link)));
    parts.push(list);
  }
  if (content.topics.length) parts.push(element("h4", t("desk.summary.topics")), topicList(content.topics, link));
  parts.push(element("p", content.note, "foot"));
  if (content.dropped) parts.push(element("p", t("desk.summary.dropped", { n: content.dropped }), "foot"));
  article.lang = content.language;
  parts[0].lang = language.current; // the page's own words
  article.replaceChildren(...parts);
}

/** What made the summary, and when. */
function made({ maker, model, made_wall: wall }) {
  const time = wall ? new Date(wall).toLocaleTimeString("en-GB") : "";
  const text = maker === "model" ? t("desk.summary.byModel", { model, time }) : t("desk.summary.byExtract", { time });
  return element("p", text, maker === "model" ? "maker" : "maker extract");
}

function sentenceItem(sentence, link) {
  const item = document.createElement("li");
  item.append(`${sentence.text} `, ...sentence.cites.flatMap((cite) => [link(cite), " "]));
  if (sentence.is_unsure) item.append(element("em", t("desk.summary.unsure"), "unsure"));
  return item;
}

function topicList(topics, link) {
  const list = document.createElement("ul");
  for (const topic of topics) {
    const item = document.createElement("li");
    item.append(link(topic.cites[0]), ` ${topic.title}`);
    list.append(item);
  }
  return list;
}

/** A link to a line; its text is the line's time, with its channel where there are several. */
function citation(segment, line, hasChannel, onJump) {
  const node = document.createElement("a");
  node.href = `#${segment}`;
  node.className = "cite";
  const time = timecode(line.start_ms).split(".")[0];
  node.textContent = hasChannel ? `${line.channel} ${time}` : time;
  node.title = `${line.channel} · ${line.text}`;
  node.setAttribute("aria-label", t("desk.summary.cite", { time, channel: line.channel }));
  node.addEventListener("click", (event) => {
    event.preventDefault();
    onJump(segment, line.channel);
  });
  return node;
}

function element(name, text, className = "") {
  const node = document.createElement(name);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}
