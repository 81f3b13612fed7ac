/** An error that the caller can mend: a picture, a mask or an option that does not fit. Its message says how. */
export declare class InputError extends Error {
    /** @param {string} message */
    constructor(message: string);
}
