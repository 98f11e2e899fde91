import { Elysia, NotFoundError } from "elysia";
import type { Route } from "./allowed-methods.ts";
import { pathOf } from "./request-target.ts";

/**
 * Leaves the choice of a route to Bun, which compares the request target as it was sent. What Bun finds
 * no route for has no route: Elysia would look again, in a URL whose dot segments are resolved and
 * whose backslashes are slashes, and find /api/recordings in /client/..\api/recordings. A proxy that
 * allows /client/ alone lets that pass, since a backslash is no separator to it.
 *
 * Requests that are made in this process, to an app that does not listen, are Elysia's to route.
 */
export function exactTarget(routes: () => readonly Route[]) {
  // Elysia gives Bun no route whose answer is always the same, such as the page at /openapi.
  const isElysias = (path: string | null) =>
    routes().some((route) => route.path === path && typeof route.handler !== "function");

  return new Elysia({ name: "exact-target" })
    .onRequest(({ request, server }) => {
      // Only requests that Bun found a route for have parameters, if empty ones.
      if (server === null || "params" in request || isElysias(pathOf(request.url))) return;
      throw new NotFoundError();
    })
    .as("global");
}
