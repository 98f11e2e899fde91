/** A request as a proxy sees it. */
export interface ProxiedRequest {
  readonly method: string;
  readonly path: string;
  /** Of its body. */
  readonly bytes: number;
}

/** What a proxy does instead of passing an answer on as it is; null passes it on. */
export type Meddling = (
  request: ProxiedRequest,
  pass: () => Promise<Response>,
) => Response | Promise<Response> | null;

/** A reverse proxy in front of a server that a test can make meddle. */
export interface MeddlingProxy extends AsyncDisposable {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string;
  /** All that came, in order. */
  readonly requests: readonly ProxiedRequest[];
  /** From now on; null passes everything on. */
  meddle(meddling: Meddling | null): void;
}

/** Starts one on a free port of the loopback. */
export function startMeddlingProxy(serverUrl: string): MeddlingProxy {
  const requests: ProxiedRequest[] = [];
  let meddling: Meddling | null = null;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const { method, headers } = request;
      const hasBody = method !== "GET" && method !== "HEAD" && method !== "OPTIONS";
      const body = hasBody ? await request.arrayBuffer() : null;
      const proxied = { method, path: pathname, bytes: body?.byteLength ?? 0 };
      requests.push(proxied);
      const pass = async (): Promise<Response> => {
        // As nginx does by default: the server sees its own address.
        headers.set("Host", new URL(serverUrl).host);
        const url = `${serverUrl}${pathname}${search}`;
        const init = { method, headers, redirect: "manual", decompress: false } as const;
        try {
          return await fetch(url, { ...init, body });
        } catch (error) {
          return new Response(String(error), { status: 502 });
        }
      };
      return (await meddling?.(proxied, pass)) ?? pass();
    },
  });
  return {
    url: server.url.origin,
    requests,
    meddle: (wanted) => {
      meddling = wanted;
    },
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
