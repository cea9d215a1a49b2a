// What every component of ours is: a custom element that Gradio hands its value, its events and its server functions.

/**
 * What Gradio gives a script of `gr.HTML`.
 * @typedef {object} Gradio
 * @property {{value: any}} props
 * @property {(name: string, act: () => void) => void} watch calls back when the value has changed
 * @property {(event: string, data: object) => void} trigger an event that the element on the tab's card names
 * @property {Server} server
 */
/** @typedef {Record<string, (...given: any[]) => Promise<any>>} Server what `server_functions` names */

/**
 * The parts of the page stand in the document before their scripts have come; `connect` is called when both are there, and
 * again on a new element where Gradio shows a part that it had taken away.
 */
export class Part extends HTMLElement {
  /** @type {Gradio} */
  gradio = { props: { value: null }, watch: () => {}, trigger: () => {}, server: {} };
  /** Ends what the part listens to outside of itself. */
  #left = new AbortController();

  /** @param {Gradio} gradio */
  connect(gradio) {
    this.gradio = gradio;
    this.begin();
    gradio.watch('value', () => this.show(this.value));
    this.show(this.value);
  }

  get value() {
    return this.gradio.props.value;
  }

  get server() {
    return this.gradio.server;
  }

  /** Whether it can be seen: its tab is the chosen one. */
  get inView() {
    return this.offsetParent !== null;
  }

  /**
   * @param {string} event
   * @param {object} [data]
   */
  trigger(event, data = {}) {
    this.gradio.trigger(event, data);
  }

  /** Once, before the first value is shown. */
  begin() {}

  /**
   * The value has changed, or is the first.
   * @param {any} _value
   */
  show(_value) {}

  /**
   * The node of a selector within the part, which is there.
   * @template {Element} [T=HTMLElement]
   * @param {string} selector
   * @returns {T}
   */
  one(selector) {
    const found = this.querySelector(selector);
    if (!found) throw new Error(`${this.localName} holds no ${selector}`);
    return /** @type {T} */ (found);
  }

  /**
   * Listen to something outside, for as long as the part is on the page.
   * @param {EventTarget} target
   * @param {string} event
   * @param {(event: any) => void} act
   */
  listen(target, event, act) {
    target.addEventListener(event, act, { signal: this.#left.signal });
  }

  /**
   * Something of the part that stands elsewhere on the page, such as a dialog. It leaves with the part.
   * @param {Element} node
   */
  elsewhere(node) {
    document.body.append(node);
    this.#left.signal.addEventListener('abort', () => node.remove());
  }

  /** Where it is merely moved, nothing ends. */
  disconnectedCallback() {
    queueMicrotask(() => {
      if (!this.isConnected) this.#left.abort();
    });
  }
}
