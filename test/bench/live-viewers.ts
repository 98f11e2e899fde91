// Viewers in a process of their own: `bun live-viewers.ts URL COUNT fast|slow DURATION_MS`. It says when it
// is ready and begins with the first byte on its stdin.
import { parseArgs } from "node:util";

/** What became of the viewers of one process; `firstByteMs` only of those who were answered with 200. */
export interface ViewersReport {
  readonly firstByteMs: number[];
  readonly bytes: number;
  readonly statuses: Record<string, number>;
}

/** A slow reader takes what the kernel has for it this often, at most 64 KiB or so. */
const SLOW_PERIOD_MS = 4_000;

const [address = "", count = "0", pace = "fast", durationMs = "0"] = parseArgs({
  allowPositionals: true,
}).positionals;
const url = new URL(address);
process.stdout.write("ready\n");
await Bun.stdin.stream().getReader().read();
const beganMs = performance.now();
const report = { firstByteMs: [] as number[], bytes: 0, statuses: {} as Record<string, number> };

const sockets = await Promise.all(
  Array.from({ length: Number(count) }, () => {
    let head = "";
    let hasBody = false;
    return Bun.connect({
      hostname: url.hostname,
      port: Number(url.port),
      socket: {
        open: (socket) => {
          const path = `${url.pathname}${url.search}`;
          socket.write(`GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`);
        },
        data: (socket, bytes) => {
          report.bytes += bytes.length;
          if (!hasBody) {
            head += bytes.toString("latin1");
            const headEnd = head.indexOf("\r\n\r\n");
            if (headEnd >= 0 && head.length > headEnd + 4) {
              hasBody = true;
              const status = head.slice(9, 12);
              report.statuses[status] = (report.statuses[status] ?? 0) + 1;
              if (status === "200") report.firstByteMs.push(performance.now() - beganMs);
            }
          }
          if (pace === "slow" && hasBody) {
            socket.pause();
            setTimeout(() => socket.resume(), SLOW_PERIOD_MS);
          }
        },
      },
    });
  }),
);
await Bun.sleep(Number(durationMs));
for (const socket of sockets) socket.terminate();
process.stdout.write(JSON.stringify(report));
process.exit(0);
