const KEY = "track-capture.participant";

/** Who somebody is until they say so. */
const FIRST_NAME = "Guest";

/** The name under which this browser recorded last. */
export function recallName(storage: () => Storage): string {
  return ifAllowed(() => storage().getItem(KEY)) ?? FIRST_NAME;
}

/** Keeps the name for the next visit, where the browser allows it. */
export function rememberName(storage: () => Storage, name: string): void {
  ifAllowed(() => storage().setItem(KEY, name));
}

/** Browsers throw at the mere mention of a storage that is blocked or full. */
function ifAllowed<Value>(use: () => Value): Value | null {
  try {
    return use();
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}
