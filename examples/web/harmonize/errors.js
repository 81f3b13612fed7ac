/** An error that the caller can mend: a picture, a mask or an option that does not fit. Its message says how. */
export class InputError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "InputError";
  }
}
