/* The field above the list of channels: it hides the rows of channels that were not asked for. It is there when the list
 * has more rows than are seen at once. Emits "change"; each row then asks whether it is shown.
 */

import { finder } from "../initials.js";

const ROWS_SEEN_AT_ONCE = 16;

class ListFilter extends EventTarget {
  #field = document.getElementById("list-find");
  #rows = 0;
  #has = () => true;

  constructor() {
    super();
    this.#field.addEventListener("input", () => {
      this.#has = finder(this.#field.value);
      this.dispatchEvent(new Event("change"));
    });
  }

  /** The list got one more row. */
  addRow() {
    this.#rows += 1;
    this.#field.hidden = this.#rows <= ROWS_SEEN_AT_ONCE;
  }

  /** Whether a channel was asked for, by its id or its name. */
  shows({ id, name }) {
    return this.#has(`${id} ${name}`);
  }
}

export const listFilter = new ListFilter();
