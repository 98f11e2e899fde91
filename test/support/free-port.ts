/**
 * A port of the loopback that nothing listens on at this moment, for a server that must come back on
 * the same one. Servers that start once take port 0 instead, which cannot be taken in between.
 */
export async function freePort(): Promise<number> {
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: () => undefined },
  });
  const { port } = listener;
  listener.stop(true);
  return port;
}
