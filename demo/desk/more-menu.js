/* The menu of the bar of the desk: on a narrow screen it holds the buttons that are rarely used.
 *
 * On a wide screen its content stands in the bar, and the button that opens it is not there (desk.css). A press beside
 * the menu, a press on one of its buttons, and Escape close it.
 */

export class MoreMenu {
  /** button: opens the menu; menu: the element with its content. */
  constructor(button, menu) {
    Object.assign(this, { button, menu });
    button.addEventListener("click", () => this.toggle());
    menu.addEventListener("click", (event) => event.target.closest("button") && this.toggle(false));
    document.addEventListener("pointerdown", ({ target }) => !menu.contains(target) && !button.contains(target) && this.toggle(false));
    menu.addEventListener("keydown", (event) => this.#onKey(event));
    button.addEventListener("keydown", (event) => this.#onKey(event));
  }

  get isOpen() {
    return this.menu.classList.contains("open");
  }

  toggle(isOpen = !this.isOpen) {
    this.menu.classList.toggle("open", isOpen);
    this.button.setAttribute("aria-expanded", String(isOpen));
  }

  #onKey(event) {
    if (event.key !== "Escape" || !this.isOpen) return;
    event.stopPropagation(); // else the desk would go back to another view as well
    this.toggle(false);
    this.button.focus();
  }
}
