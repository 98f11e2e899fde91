/** A TCP connection on which a test says what no HTTP client would say, at the pace that it wants. */
export class RawConnection {
  readonly #received: Buffer[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #socket: Bun.Socket | undefined;
  #unsent: Buffer = Buffer.alloc(0);
  #isClosed = false;

  /** Connects to a server by its URL. */
  static async open(serverUrl: string): Promise<RawConnection> {
    const { hostname, port } = new URL(serverUrl);
    const connection = new RawConnection();
    connection.#socket = await Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        data: (_socket, bytes) => {
          connection.#received.push(Buffer.from(bytes));
        },
        drain: () => connection.#flush(),
        close: () => connection.#end(),
        error: () => connection.#end(),
      },
    });
    return connection;
  }

  /** Resolves when either side has closed the connection, in whatever way. */
  get closed(): Promise<void> {
    return this.#ended.promise;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Everything that came back up to now. */
  get received(): string {
    return Buffer.concat(this.#received).toString("latin1");
  }

  /** Status of the first answer; undefined while there is none. */
  get status(): number | undefined {
    const digits = /^HTTP\/1\.1 (\d{3})/.exec(this.received)?.[1];
    return digits === undefined ? undefined : Number(digits);
  }

  /** Sends as soon as the other side takes it; what a closed connection does not take is dropped. */
  send(...parts: readonly (string | Uint8Array)[]): void {
    this.#unsent = Buffer.concat([this.#unsent, ...parts.map((part) => Buffer.from(part))]);
    this.#flush();
  }

  /** Resets the connection. */
  reset(): void {
    this.#socket?.terminate();
  }

  /** Closes the connection in order. */
  close(): void {
    this.#socket?.end();
  }

  #flush(): void {
    if (this.#isClosed || this.#socket === undefined || this.#unsent.length === 0) return;
    const written = this.#socket.write(this.#unsent);
    this.#unsent = this.#unsent.subarray(Math.max(0, written));
  }

  #end(): void {
    this.#isClosed = true;
    this.#unsent = Buffer.alloc(0);
    this.#ended.resolve();
  }
}
