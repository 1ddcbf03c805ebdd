/* Merges two changes of one glossary. Pure: works on the objects of /api/glossary.
 *
 * Terms are matched by their canonical form and patterns by their names and numbers. `base` is the list that both
 * changes start from.
 */

const keyOfPattern = (pattern) => `${Object.keys(pattern.base ?? {}).join("/")} ${pattern.number ?? ""}`;
const KINDS = { terms: (term) => term.canonical, patterns: keyOfPattern };
const same = (a, b) => sorted(a) === sorted(b);

/** What `theirs` changed compared with `base`: [{kind: added|removed|changed, name}]. */
export function changesOf(base, theirs) {
  const changes = [];
  for (const [part, keyOf] of Object.entries(KINDS)) {
    const before = byKey(base[part], keyOf);
    const after = byKey(theirs[part], keyOf);
    for (const [name, one] of after) {
      if (!before.has(name)) changes.push({ kind: "added", name });
      else if (!same(before.get(name), one)) changes.push({ kind: "changed", name });
    }
    for (const name of before.keys()) if (!after.has(name)) changes.push({ kind: "removed", name });
  }
  return changes;
}

/** What both changed in different ways: [{part, name, mine, theirs}]; undefined means removed. */
export function conflictsOf(base, mine, theirs) {
  const found = [];
  for (const [part, keyOf] of Object.entries(KINDS)) {
    const [b, m, t] = [base, mine, theirs].map((list) => byKey(list[part], keyOf));
    for (const name of new Set([...b.keys(), ...m.keys(), ...t.keys()])) {
      const [was, my, their] = [b.get(name), m.get(name), t.get(name)];
      if (!same(my, was) && !same(their, was) && !same(my, their)) found.push({ part, name, mine: my, theirs: their });
    }
  }
  return found;
}

/** The merged list, in the order of theirs. takesMine(conflict): which side of a conflict holds. */
export function merged(base, mine, theirs, takesMine) {
  const result = { ...theirs };
  if (!same(mine.defaults, base.defaults) && mine.defaults) result.defaults = mine.defaults;
  const conflicts = conflictsOf(base, mine, theirs);
  for (const [part, keyOf] of Object.entries(KINDS)) {
    const [b, m, t] = [base, mine, theirs].map((list) => byKey(list[part], keyOf));
    const list = [];
    for (const name of new Set([...t.keys(), ...m.keys()])) {
      const conflict = conflicts.find((one) => one.part === part && one.name === name);
      const isMine = conflict ? takesMine(conflict) : !same(m.get(name), b.get(name));
      const chosen = isMine ? m.get(name) : t.get(name);
      if (chosen) list.push(chosen);
    }
    if (list.length || part in theirs || part in mine) result[part] = list;
  }
  return result;
}

function byKey(list, keyOf) {
  return new Map((list ?? []).map((one) => [keyOf(one), one]));
}

/** JSON with sorted keys, so that two objects with the same content are equal. */
function sorted(value) {
  const order = (_, inner) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner;
  return JSON.stringify(value, order) ?? "";
}
