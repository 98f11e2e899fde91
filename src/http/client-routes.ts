import { staticPlugin } from "@elysiajs/static";
import { Elysia } from "elysia";
import type { ClientAssets } from "./client-assets.ts";
import { isNotModified } from "./conditional-request.ts";

const YEAR_SECONDS = 365 * 24 * 3_600;

/** Serves the client library at `/client/recorder.js` and the studio page at `/`. */
export async function clientRoutes(
  assets: Pick<ClientAssets, "libraryDirectory" | "hashedDirectory" | "studioPage">,
) {
  const library = await staticPlugin({
    assets: assets.libraryDirectory,
    prefix: "/client",
    alwaysStatic: true,
    maxAge: null,
    directive: "no-cache",
    detail: { hide: true },
  });
  const hashed = await staticPlugin({
    assets: assets.hashedDirectory,
    prefix: "/assets",
    alwaysStatic: true,
    maxAge: YEAR_SECONDS,
    directive: "immutable",
    detail: { hide: true },
  });
  return new Elysia({ name: "client-routes" })
    .use(library)
    .use(hashed)
    .use(pageRoute("/", assets.studioPage));
}

/** The static plugin sends pages without any of the headers that let a browser ask for changes. */
function pageRoute(path: string, page: string) {
  const etag = `"${new Bun.CryptoHasher("sha256").update(page).digest("hex")}"`;
  const builtAtMs = Date.now();
  const headers = { etag, "cache-control": "no-cache" };
  return new Elysia({ name: "page-route", seed: path }).get(
    path,
    ({ request }) =>
      isNotModified(request.headers, { etag, lastModifiedMs: builtAtMs })
        ? new Response(null, { status: 304, headers })
        : new Response(page, {
            headers: { ...headers, "content-type": "text/html; charset=utf-8" },
          }),
    { detail: { hide: true } },
  );
}
