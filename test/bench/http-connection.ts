import type { Socket } from "bun";

const HEADERS_END = Buffer.from("\r\n\r\n");

/** An answer, read whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * One keep-alive HTTP/1.1 connection that sends prepared bytes, one request at a time. It costs a
 * fraction of what `fetch` does, so that the bench measures the server and not its client.
 */
export class HttpConnection {
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #unsent: Uint8Array[] = [];
  #waiting: PromiseWithResolvers<HttpAnswer> | undefined;

  /** Connects to a server on the loopback. */
  static async open(port: number): Promise<HttpConnection> {
    const connection = new HttpConnection();
    connection.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, bytes) => connection.#receive(bytes),
        drain: () => connection.#flush(),
        close: () => connection.#waiting?.reject(new Error("The server closed the connection.")),
        error: (_socket, error) => connection.#waiting?.reject(error),
      },
    });
    return connection;
  }

  /** Sends one whole request, given in parts, and waits for the answer. */
  send(parts: readonly Uint8Array[]): Promise<HttpAnswer> {
    this.#waiting = Promise.withResolvers<HttpAnswer>();
    this.#unsent = [...parts];
    this.#flush();
    return this.#waiting.promise;
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket?.end();
  }

  #flush(): void {
    while (this.#socket !== undefined) {
      const [part] = this.#unsent;
      if (part === undefined) return;
      const written = this.#socket.write(part);
      if (written < part.length) {
        this.#unsent[0] = part.subarray(Math.max(0, written));
        return;
      }
      this.#unsent.shift();
    }
  }

  #receive(bytes: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    const headersEnd = this.#received.indexOf(HEADERS_END);
    if (headersEnd < 0) return;
    const head = this.#received.subarray(0, headersEnd).toString("latin1");
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const bodyStart = headersEnd + HEADERS_END.length;
    if (this.#received.length < bodyStart + length) return;
    const body = this.#received.subarray(bodyStart, bodyStart + length).toString();
    this.#received = this.#received.subarray(bodyStart + length);
    this.#waiting?.resolve({ status: Number(head.slice(9, 12)), body });
  }
}
