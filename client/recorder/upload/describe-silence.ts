import type { UploadRetry } from "../recorder.d.ts";

/** What is known of a request that brought no answer that the page may read. */
export interface Silence {
  readonly serverUrl: string;
  readonly pageOrigin: string | null;
  /** Something answers, but it does not let this page read what. */
  readonly isAnswered: boolean;
  /** The server has acknowledged something to this page before. */
  readonly hasAcknowledged: boolean;
  /** The page's permission to reach a local server; null where the browser knows none. */
  readonly permission: PermissionState | null;
  /** The browser's own words. */
  readonly said: string;
}

/** Why no answer came, as far as a page can know: a sentence for people, likely causes first. */
export function describeSilence(silence: Silence): Pick<UploadRetry, "cause" | "reason"> {
  const { serverUrl, pageOrigin, isAnswered, hasAcknowledged, permission, said } = silence;
  const { origin, hostname } = new URL(serverUrl);
  const page = pageOrigin ?? "this page";
  if (isAnswered && hasAcknowledged) {
    const reason = `Something answers in the place of ${origin} and does not let this page read it: a proxy that wants a sign-in, or one whose server is away.`;
    return { cause: "sign-in-needed", reason };
  }
  if (isAnswered) {
    const reason = `${origin} answers, but does not let ${page} read it. Either the origin ${page} is not in the server's ALLOWED_ORIGINS, or a proxy in between wants a sign-in.`;
    return { cause: "origin-refused", reason };
  }
  if (permission === "denied" && isLocal(hostname) && !isLocalOrigin(pageOrigin)) {
    const reason = `The browser does not let ${page} reach ${origin}: the permission for access to the local network was denied. Allow it in the settings of this site.`;
    return { cause: "permission-denied", reason };
  }
  if (hasAcknowledged || origin === pageOrigin) {
    return { cause: "no-answer", reason: `${origin} gives no answer (${said}).` };
  }
  const permissionCause =
    isLocal(hostname) && !isLocalOrigin(pageOrigin)
      ? ", or the browser waits for or was refused the permission for access to the local network"
      : "";
  const reason = `${origin} gives no answer (${said}). Either the server cannot be reached, or the origin ${page} is not in its ALLOWED_ORIGINS, or this page's Content Security Policy (connect-src) forbids it${permissionCause}.`;
  return { cause: "no-answer", reason };
}

/** Names of the permission, newest first: browsers know some of them, and throw at the others. */
const PERMISSION_NAMES = ["loopback-network", "local-network", "local-network-access"];

/** `Permissions`, with names that TypeScript's list does not have yet. */
interface AnyPermissions {
  query(descriptor: { readonly name: string }): Promise<{ readonly state: PermissionState }>;
}

/** The state of the page's permission to reach local servers: denied if any that is known is. */
export async function localNetworkPermission(
  permissions: AnyPermissions | undefined = globalThis.navigator?.permissions,
): Promise<PermissionState | null> {
  let found: PermissionState | null = null;
  for (const name of PERMISSION_NAMES) {
    try {
      const { state } = (await permissions?.query({ name })) ?? {};
      if (state === "denied") return state;
      found ??= state ?? null;
    } catch (error) {
      // A name that this browser does not know, or a document that may not ask.
      if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    }
  }
  return found;
}

function isLocalOrigin(origin: string | null): boolean {
  return origin !== null && URL.canParse(origin) && isLocal(new URL(origin).hostname);
}

/** Whether a host's name or address is one of the loopback or of a private network. */
function isLocal(hostname: string): boolean {
  return (
    /(?:^|\.)localhost$|\.local$/.test(hostname) ||
    /^(?:127|10)\.|^192\.168\.|^169\.254\.|^172\.(?:1[6-9]|2\d|3[01])\./.test(hostname) ||
    /^\[(?:::1|f[cd][0-9a-f]{2}:.*|fe[89ab][0-9a-f]:.*)\]$/.test(hostname)
  );
}
