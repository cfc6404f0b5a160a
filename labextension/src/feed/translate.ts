/** Translates a sentence, and puts values in the place of its `%1`, `%2` ... */
export type Translate = (text: string, ...values: (string | number)[]) => string;

/** Leaves the words as they are. */
export const asWritten: Translate = (text, ...values) =>
  text.replace(/%(\d)/g, (whole, place) => String(values[Number(place) - 1] ?? whole));
