import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { openapi } from "@elysiajs/openapi";
import { staticPlugin } from "@elysiajs/static";
import { Elysia } from "elysia";
import { inputSchema } from "./operation-detail.ts";

const ASSETS_PREFIX = "/openapi/assets";

/** Everything in Swagger UI's package but the two files that its page needs. */
const NOT_NEEDED = /(?<!\/swagger-ui-bundle\.js|\/swagger-ui\.css)$/;

/**
 * The OpenAPI description of all routes of the app that uses this, made of the schemas that check
 * them, and Swagger UI for it from this server: the plugin's default loads it from elsewhere.
 */
export async function openapiRoutes() {
  const assets = await staticPlugin({
    assets: dirname(fileURLToPath(import.meta.resolve("swagger-ui-dist/swagger-ui.css"))),
    prefix: ASSETS_PREFIX,
    alwaysStatic: true,
    ignorePatterns: [NOT_NEEDED],
    maxAge: null,
    directive: "no-cache",
    detail: { hide: true },
  });
  return new Elysia({ name: "openapi-routes" }).use(assets).use(
    openapi({
      path: "/openapi",
      provider: "swagger-ui",
      // The plugin would leave out every path with a dot, such as media.mp4.
      exclude: { staticFile: false },
      mapJsonSchema: { zod: inputSchema },
      swagger: {
        cdn: `${ASSETS_PREFIX}/swagger-ui-bundle.js`,
        theme: `${ASSETS_PREFIX}/swagger-ui.css`,
        // The badge of the default one is loaded from swagger.io.
        validatorUrl: "none",
      },
      documentation: {
        info: {
          title: "Track Capture",
          version: "0.1.0",
          description: "A self-hosted recorder for video calls.",
        },
        tags: [
          { name: "Recordings", description: "Start, stop, list and delete recordings" },
          { name: "Chunks", description: "What a recorder in a browser uploads" },
          { name: "Media", description: "MP4s, original bytes and archives" },
          { name: "Exports", description: "Files that are made of a finished recording on demand" },
          { name: "Server", description: "Clock and health" },
          { name: "Guide", description: "Routes for apps that were written to the guide" },
        ],
      },
    }),
  );
}
