import barcodePage from "../fixtures/barcode-page.html";

/** An app's own web server. */
export interface AppServer extends AsyncDisposable {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string;
}

/**
 * Serves the barcode page at `/` and passes every other path on to the Track Capture server, as a
 * reverse proxy in front of both does: page, library and uploads have one origin. Beside a server
 * that cannot be reached it is the app's copy of the library.
 */
export function startAppServer(serverUrl: string): AppServer {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    routes: { "/": barcodePage },
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const { method, headers } = request;
      const hasBody = method !== "GET" && method !== "HEAD";
      try {
        return await fetch(`${serverUrl}${pathname}${search}`, {
          method,
          headers,
          redirect: "manual",
          decompress: false,
          ...(hasBody ? { body: await request.arrayBuffer() } : {}),
        });
      } catch (error) {
        return new Response(String(error), { status: 502 });
      }
    },
  });
  return {
    url: server.url.origin,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
