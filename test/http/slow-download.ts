/** A download that was begun and waits. */
export interface SlowDownload {
  /** Reads on to the end of the connection; gives head and body. */
  finish(): Promise<{ head: string; body: Buffer }>;
}

/**
 * Begins a download and stops reading after the first bytes, so that the server still has most of a
 * large answer when this resolves.
 */
export async function beginSlowDownload(url: string): Promise<SlowDownload> {
  const { hostname, port, pathname, host } = new URL(url);
  const received: Buffer[] = [];
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: (opened) => {
        opened.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      },
      data: (reading, bytes) => {
        if (received.length === 0) reading.pause();
        received.push(Buffer.from(bytes));
        begun.resolve();
      },
      close: () => ended.resolve(),
      error: (_socket, error) => ended.reject(error),
    },
  });
  await begun.promise;
  return {
    finish: async () => {
      socket.resume();
      await ended.promise;
      const answer = Buffer.concat(received);
      const headEnd = answer.indexOf("\r\n\r\n");
      return {
        head: answer.subarray(0, headEnd).toString("latin1"),
        body: answer.subarray(headEnd + 4),
      };
    },
  };
}
