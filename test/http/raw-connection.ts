/** A TCP connection on which a test says what no HTTP client would say, at the pace that it wants. */
export class RawConnection {
  readonly #received: Buffer[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #socket: Bun.Socket | undefined;
  #unsent: Uint8Array[] = [];
  #isClosed = false;
  #taken: PromiseWithResolvers<void> | undefined;

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
    for (const part of parts) {
      this.#unsent.push(typeof part === "string" ? Buffer.from(part) : part);
    }
    this.#flush();
  }

  /**
   * Sends pieces, each when the one before is taken; resolves when all are, or the connection is closed.
   */
  async sendEach(pieces: Iterable<Uint8Array>): Promise<void> {
    let sinceRest = 0;
    for (const piece of pieces) {
      if (this.#isClosed) return;
      this.send(piece);
      if (this.#unsent.length === 0) {
        // Lets others of this process have their turn too.
        sinceRest += 1;
        if (sinceRest % 100 === 0) await Bun.sleep(0);
        continue;
      }
      this.#taken = Promise.withResolvers<void>();
      await Promise.race([this.#taken.promise, this.closed]);
    }
  }

  /** Resets the connection. */
  reset(): void {
    this.#socket?.terminate();
  }

  /** Closes the connection in order. */
  close(): void {
    this.#socket?.end();
  }

  [Symbol.dispose](): void {
    this.reset();
  }

  #flush(): void {
    while (!this.#isClosed && this.#socket !== undefined) {
      const [part] = this.#unsent;
      if (part === undefined) {
        this.#taken?.resolve();
        return;
      }
      const written = this.#socket.write(part);
      if (written < part.length) {
        this.#unsent[0] = part.subarray(Math.max(0, written));
        return;
      }
      this.#unsent.shift();
    }
  }

  #end(): void {
    this.#isClosed = true;
    this.#unsent = [];
    this.#ended.resolve();
  }
}
