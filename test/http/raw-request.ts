/** Everything that a server sent on one connection. */
export interface RawAnswer {
  readonly statusLine: string;
  /** Head and body as they came. */
  readonly text: string;
}

/**
 * Sends bytes that no HTTP client would send, and collects what comes back until the server closes
 * the connection or the answer is complete by `isComplete`.
 */
export function rawRequest(
  serverUrl: string,
  parts: readonly (string | Uint8Array)[],
  options: { readonly hangUpAfterSending?: boolean } = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(serverUrl);
  const pieces = parts.map((part) => Buffer.from(part));
  return new Promise((resolve, reject) => {
    const received: Buffer[] = [];
    let unsent = Buffer.concat(pieces);
    const flush = (socket: Bun.Socket) => {
      const written = socket.write(unsent);
      unsent = unsent.subarray(Math.max(0, written));
      if (unsent.length === 0 && options.hangUpAfterSending === true) socket.end();
    };
    Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        open: flush,
        drain: flush,
        data: (_socket, bytes) => {
          received.push(Buffer.from(bytes));
        },
        close: () => {
          const text = Buffer.concat(received).toString("latin1");
          resolve({ statusLine: text.split("\r\n", 1)[0] ?? "", text });
        },
        error: (_socket, error) => reject(error),
      },
    }).catch(reject);
  });
}
