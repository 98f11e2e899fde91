/** A route, as Elysia lists it. */
export interface Route {
  readonly method: string;
  /** With `:name` for a part that may be anything, and `*` at its end for anything at all. */
  readonly path: string;
  /** A function, or the answer itself. */
  readonly handler: unknown;
}

/**
 * The methods that a path answers, for the header `Allow`; empty if it has no route. Elysia answers
 * HEAD wherever it answers GET, and OPTIONS is answered for every route.
 */
export function allowedMethods(
  routes: readonly Pick<Route, "method" | "path">[],
  path: string,
): string[] {
  const methods = new Set<string>();
  for (const route of routes) {
    if (methods.has(route.method) || !matches(route.path, path)) continue;
    methods.add(route.method);
    if (route.method === "GET") methods.add("HEAD");
  }
  if (methods.size > 0) methods.add("OPTIONS");
  return [...methods].toSorted();
}

function matches(pattern: string, path: string): boolean {
  const wanted = partsOf(pattern);
  const found = partsOf(path);
  const isOpen = wanted.at(-1) === "*";
  if (isOpen ? found.length < wanted.length : found.length !== wanted.length) return false;
  return wanted.every(
    (part, i) => part === "*" || part === found[i] || (part.startsWith(":") && found[i] !== ""),
  );
}

/** A slash at the end does not count, as Elysia has it. */
function partsOf(path: string): string[] {
  return (path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path).split("/");
}
