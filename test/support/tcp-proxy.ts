import { once } from "node:events";
import { type Socket, connect, createServer } from "node:net";

/** What becomes of a connection: it is passed on, it is reset, or nothing moves on it any more. */
type Path = "open" | "cut" | "silent";

/** The way between a browser and a server, which a test can break. */
export interface TcpProxy extends AsyncDisposable {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string;
  /** Resets every connection, and each new one as soon as it is made: the network is gone. */
  cut(): void;
  /**
   * No byte passes in either direction any more, and nobody is told: connections stay open and new
   * ones are accepted, as on the far side of a router that forgot them.
   */
  silence(): void;
  /** Passes new connections on again. Those that were silenced stay silent for good. */
  restore(): void;
}

/** Starts to pass connections to `targetUrl` on, from a free port of the loopback. */
export async function startTcpProxy(targetUrl: string): Promise<TcpProxy> {
  const target = new URL(targetUrl);
  let path: Path = "open";
  /** Both ends of every connection. */
  const sockets = new Set<Socket>();
  const attend = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // A reset of one end is what this proxy is for; `close` follows and ends the other one.
    socket.on("error", () => undefined);
  };

  const listener = createServer((inbound) => {
    attend(inbound);
    if (path === "cut") {
      inbound.resetAndDestroy();
      return;
    }
    if (path === "silent") {
      inbound.pause();
      return;
    }
    const outbound = connect({ host: target.hostname, port: Number(target.port) });
    attend(outbound);
    join(inbound, outbound);
    join(outbound, inbound);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("The listener has no port");

  return {
    url: `http://127.0.0.1:${address.port}`,
    cut: () => {
      path = "cut";
      for (const socket of sockets) socket.resetAndDestroy();
    },
    silence: () => {
      path = "silent";
      for (const socket of sockets) {
        socket.removeAllListeners("data");
        socket.removeAllListeners("end");
        socket.pause();
      }
    },
    restore: () => {
      path = "open";
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      const closed = once(listener, "close");
      listener.close();
      await closed;
    },
  };
}

/** Passes what `from` receives on to `to`, no faster than it takes it, and its end too. */
function join(from: Socket, to: Socket): void {
  from.on("data", (bytes) => {
    if (to.write(bytes)) return;
    from.pause();
    to.once("drain", () => from.resume());
  });
  from.on("end", () => to.end());
  from.on("close", () => {
    if (!to.writableEnded) to.destroy();
  });
}
