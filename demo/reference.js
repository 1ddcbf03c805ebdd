/* The HTTP interface as a page: the OpenAPI document, drawn. Asks this server and no other, and needs no library. */

import { rememberToken, request } from "./api.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, text = "", ...children) {
  const made = document.createElement(name);
  made.append(text, ...children);
  return made;
}

/** A schema with every reference in it replaced by what it refers to; a loop stays a name. */
export function resolved(schema, schemas, above = []) {
  if (Array.isArray(schema)) return schema.map((one) => resolved(one, schemas, above));
  if (schema === null || typeof schema !== "object") return schema;
  const name = schema.$ref?.split("/").pop();
  if (name) return above.includes(name) ? name : resolved(schemas[name], schemas, [...above, name]);
  return Object.fromEntries(Object.entries(schema).map(([key, one]) => [key, resolved(one, schemas, above)]));
}

/** A schema as the JSON it stands for: `"text"`, `1`, and so on. */
export function example(schema) {
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

function parameters(list) {
  const table = element("table");
  for (const one of list) {
    const kind = one.schema.enum?.join(" | ") ?? one.schema.pattern ?? one.schema.format ?? one.schema.type ?? "";
    const row = element("tr", "", element("th", "", element("code", one.name)), element("td", String(kind)));
    row.append(element("td", one.description || (one.required ? "required" : "")));
    table.append(row);
  }
  return table;
}

function shape(title, content, schemas) {
  const schema = content?.["application/json"]?.schema;
  if (!schema) return [];
  const json = JSON.stringify(example(resolved(schema, schemas)), null, 2);
  return [element("div", title), element("pre", json)];
}

function route(method, path, one, schemas) {
  const head = element("summary", "", element("code", `${method.toUpperCase()} ${path}`), element("span", one.summary));
  const inside = element("div", "", element("p", one.description));
  inside.className = "inside";
  if (one.parameters.length) inside.append(parameters(one.parameters));
  inside.append(...shape("Body", one.requestBody?.content, schemas));
  const [status, answer] = Object.entries(one.responses).find(([code]) => code < "400");
  const kinds = Object.keys(answer.content ?? {}).join(", ");
  inside.append(element("div", `Answers ${status}${kinds ? ` (${kinds})` : ""}`));
  inside.append(...shape("", answer.content, schemas));
  const refusals = Object.keys(one.responses).filter((code) => code >= "400");
  inside.append(element("div", `May refuse with ${refusals.join(", ")}`));
  return element("details", "", head, inside);
}

function draw(spec) {
  const groups = new Map();
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((name) => methods[name])) {
      const one = methods[method];
      const group = groups.get(one.tags[0]) ?? [];
      groups.set(one.tags[0], [...group, route(method, path, one, spec.components.schemas)]);
    }
  }
  const sections = [...groups].map(([name, routes]) => element("section", "", element("h2", name), ...routes));
  document.getElementById("routes").replaceChildren(...sections);
  document.getElementById("version").textContent = `Version ${spec.info.version}.`;
}

async function show() {
  const trouble = document.getElementById("trouble");
  const ask = document.getElementById("ask");
  try {
    draw(await request("GET", "api/openapi.json"));
    trouble.hidden = ask.hidden = true;
  } catch (error) {
    ask.hidden = error.status !== 401;
    trouble.hidden = false;
    trouble.textContent = error.detail || error.message;
  }
}

document.getElementById("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  rememberToken(document.getElementById("token").value.trim());
  show();
});
show();
