import { chmod } from "node:fs/promises";
import { freePort } from "./free-port.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import { until } from "./until.ts";

/** nginx starts within milliseconds; a busy machine may take longer. */
const START_TIMEOUT_MS = 20_000;

/** Where distributions put it, which is not on every user's PATH. */
const nginxPath = Bun.which("nginx") ?? Bun.which("nginx", { PATH: "/usr/sbin:/usr/local/sbin" });

/** Why nginx cannot be used here; undefined when it can. */
export function nginxObstacle(): string | undefined {
  if (nginxPath === null) return "there is no nginx";
  return Bun.which("openssl") === null ? "there is no openssl" : undefined;
}

/** nginx in front of a server, over HTTP/2 with a certificate that nobody knows. */
export interface Nginx extends AsyncDisposable {
  /** `https://127.0.0.1:port`, without a slash at the end. */
  readonly url: string;
  /** Reads its settings again, with these directives in the server's block. */
  reload(directives: string): Promise<void>;
  /** All that it has written to its error log. */
  errors(): Promise<string>;
}

/**
 * Starts it on a free port of the loopback.
 *
 * @param directives in the server's block, beside `proxy_pass`; none: every limit is the default
 */
export async function startNginx(serverUrl: string, directives = ""): Promise<Nginx> {
  await using parts = new AsyncDisposableStack();
  const { path } = parts.use(await temporaryDirectory());
  // The workers, which are no root, keep large bodies in it.
  await chmod(path, 0o755);
  const options =
    "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=127.0.0.1";
  const files = ["-keyout", `${path}/key.pem`, "-out", `${path}/certificate.pem`];
  run(["openssl", "req", ...options.split(" "), ...files]);
  const port = await freePort();
  const configure = (more: string): Promise<number> =>
    Bun.write(
      `${path}/nginx.conf`,
      `
${process.getuid?.() === 0 ? "user root;" : ""}
worker_processes 1;
daemon off;
pid ${path}/nginx.pid;
error_log ${path}/error.log;
events {}
http {
  access_log off;
  client_body_temp_path ${path}/client_body;
  proxy_temp_path ${path}/proxy;
  fastcgi_temp_path ${path}/fastcgi;
  uwsgi_temp_path ${path}/uwsgi;
  scgi_temp_path ${path}/scgi;
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${path}/certificate.pem;
    ssl_certificate_key ${path}/key.pem;
    ${more}
    location / {
      proxy_pass ${serverUrl};
    }
  }
}
`,
    );
  await configure(directives);
  const child = Bun.spawn(
    [nginxPath ?? "nginx", "-p", path, "-e", `${path}/error.log`, "-c", `${path}/nginx.conf`],
    { stdin: "ignore", stdout: "ignore", stderr: "ignore" },
  );
  parts.defer(async () => {
    child.kill("SIGTERM");
    await child.exited;
  });
  const url = `https://127.0.0.1:${port}`;
  const errors = (): Promise<string> => Bun.file(`${path}/error.log`).text();
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(`nginx ended: ${await errors()}`);
      return (await isServing(url)) || undefined;
    },
    { what: "nginx serves", timeoutMs: START_TIMEOUT_MS },
  );
  const whole = parts.move();
  return {
    url,
    errors,
    reload: async (more) => {
      await configure(more);
      child.kill("SIGHUP");
    },
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  };
}

async function isServing(url: string): Promise<boolean> {
  try {
    await fetch(url, { tls: { rejectUnauthorized: false } });
    return true;
  } catch {
    return false;
  }
}

function run(command: string[]): void {
  const { success, stderr } = Bun.spawnSync(command);
  if (!success) throw new Error(`${command[0]} failed: ${stderr.toString()}`);
}
