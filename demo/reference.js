/* The Reference page: draws this server's OpenAPI document. Uses no library and no other server.
 *
 * The document is in English. The words around it are in the language of the page.
 */

import { rememberToken, request } from "./api.js";
import { language, t } from "./i18n.js";
import { beginLanguage } from "./page.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const MEDIA_TYPE = "application/json";
let spec = null; // the document, when it is loaded

function element(name, text = "", ...children) {
  const made = document.createElement(name);
  made.append(text, ...children);
  return made;
}

/** An element with text of the document, so that a screen reader of a Korean page reads it as English. */
function english(name, text) {
  const made = element(name, text);
  made.lang = "en";
  return made;
}

/** A schema in which every $ref is replaced by its target. A schema that contains itself becomes its name. */
function resolved(schema, schemas, parents = []) {
  if (Array.isArray(schema)) return schema.map((one) => resolved(one, schemas, parents));
  if (schema === null || typeof schema !== "object") return schema;
  const name = schema.$ref?.split("/").pop();
  if (name) return parents.includes(name) ? name : resolved(schemas[name], schemas, [...parents, name]);
  return Object.fromEntries(Object.entries(schema).map(([key, one]) => [key, resolved(one, schemas, parents)]));
}

/** JSON of the shape that a resolved schema describes, with the type or the format of each value as the value. */
function example(schema) {
  if (typeof schema !== "object" || schema === null) return schema ?? null;
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return schema.const;
  if (schema.anyOf) return example(schema.anyOf.find((one) => one.type !== "null") ?? schema.anyOf[0]);
  if (schema.type === "array") return [example(schema.items ?? {})];
  if (schema.type === "object" || schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, one]) => [name, example(one)]));
  }
  return schema.format ?? schema.type ?? "any";
}

function parameterTable(list) {
  const table = element("table");
  for (const one of list) {
    const kind = one.schema.enum?.join(" | ") ?? one.schema.pattern ?? one.schema.format ?? one.schema.type ?? "";
    const row = element("tr", "", element("th", "", element("code", one.name)), element("td", String(kind)));
    const required = one.required ? t("reference.required") : "";
    row.append(one.description ? english("td", one.description) : element("td", required));
    table.append(row);
  }
  return table;
}

/** The JSON of a body under its title; nothing where the body is not JSON. */
function jsonShape(title, content, schemas) {
  const schema = content?.[MEDIA_TYPE]?.schema;
  if (!schema) return [];
  const shape = element("pre", JSON.stringify(example(resolved(schema, schemas)), null, 2));
  shape.tabIndex = 0; // a long shape scrolls, so the keyboard must reach it
  return title ? [element("div", title), shape] : [shape];
}

function routeDetails(method, path, route, schemas) {
  const call = element("code", `${method.toUpperCase()} ${path}`);
  const inside = element("div", "", english("p", route.description));
  inside.className = "inside";
  if (route.parameters.length) inside.append(parameterTable(route.parameters));
  inside.append(...jsonShape(t("reference.request"), route.requestBody?.content, schemas));
  const [status, response] = Object.entries(route.responses).find(([code]) => code < "400");
  const types = Object.keys(response.content ?? {}).join(", ");
  inside.append(element("div", `${t("reference.response", { status })}${types ? ` (${types})` : ""}`));
  inside.append(...jsonShape("", response.content, schemas));
  const errors = Object.keys(route.responses).filter((code) => code >= "400");
  inside.append(element("div", t("reference.errors", { codes: errors.join(", ") })));
  return element("details", "", element("summary", "", call, english("span", route.summary)), inside);
}

function draw() {
  const place = document.getElementById("routes");
  const isOpen = new Set([...place.querySelectorAll("details[open] code")].map((code) => code.textContent));
  const groups = new Map(); // tag -> its routes as elements
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((name) => methods[name])) {
      const route = methods[method];
      const [tag] = route.tags;
      if (!groups.has(tag)) groups.set(tag, []);
      const details = routeDetails(method, path, route, spec.components.schemas);
      details.open = isOpen.has(details.querySelector("code").textContent);
      groups.get(tag).push(details);
    }
  }
  const sections = [...groups].map(([name, routes]) => element("section", "", element("h2", name), ...routes));
  place.replaceChildren(...sections);
  document.getElementById("version").textContent = t("reference.version", { version: spec.info.version });
}

async function load() {
  const error = document.getElementById("error");
  const form = document.getElementById("token-form");
  try {
    spec = await request("GET", "api/openapi.json");
    draw();
    error.hidden = form.hidden = true;
  } catch (failure) {
    form.hidden = failure.status !== 401;
    error.hidden = false;
    error.textContent = failure.detail || failure.message;
  }
}

document.getElementById("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  rememberToken(document.getElementById("token").value.trim());
  load();
});
beginLanguage();
language.addEventListener("language", () => spec && draw());
load();
document.documentElement.dataset.ready = "";
