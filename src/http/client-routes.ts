import { Elysia } from "elysia";
import type { ClientAsset } from "./client-assets.ts";
import { isNotModified } from "./conditional-request.ts";

const YEAR_SECONDS = 365 * 24 * 3_600;

const PAGE_PATH = "/index.html";

/** Serves the client library at `/client/recorder.js` and the studio page at `/`. */
export function clientRoutes(assets: readonly ClientAsset[], builtAtMs: number) {
  const routes = new Elysia({ name: "client-routes" });
  for (const asset of assets) {
    const path = asset.path === PAGE_PATH ? "/" : asset.path;
    const etag = `"${new Bun.CryptoHasher("sha256").update(asset.bytes).digest("hex")}"`;
    const headers = {
      etag,
      "cache-control": asset.isHashed ? `public, max-age=${YEAR_SECONDS}, immutable` : "no-cache",
    };
    routes.get(
      path,
      ({ request }) =>
        isNotModified(request.headers, { etag, lastModifiedMs: builtAtMs })
          ? new Response(null, { status: 304, headers })
          : new Response(asset.bytes, {
              headers: { ...headers, "content-type": asset.contentType },
            }),
      { detail: { hide: true } },
    );
  }
  return routes;
}
