/**
 * What a request says about where it was sent, and about the page that sent it. Header values are as
 * they came; null where there is none.
 */
export interface RequestFacts {
  readonly method: string;
  /** Path of the request target, without its query; null if the target has none. */
  readonly path: string | null;
  readonly host: string | null;
  readonly origin: string | null;
  readonly referer: string | null;
  readonly secFetchSite: string | null;
  readonly secFetchMode: string | null;
  readonly secFetchDest: string | null;
  readonly secPurpose: string | null;
}

/** Whether a request may go on to its route. */
export type HostAndOriginVerdict =
  | { readonly kind: "pass" }
  /** The Host header is missing, or is not one `host[:port]`. */
  | { readonly kind: "invalid-host" }
  /** The Host header names something other than this machine: a rebound DNS name, or a proxy's own. */
  | { readonly kind: "misdirected" }
  /** A page that may not do this sent it. `origin` is null where allowing one would not help. */
  | { readonly kind: "foreign-page"; readonly origin: string | null };

/** RFC 9110, 7.2, without what no browser sends: percent-encoded and non-ASCII names. */
const HOST_HEADER = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d*)?$/i;

/**
 * What a link on any page may open. A list of what is harmless, so that what is missing in it is refused:
 * the guide's GET /recording/start changes something.
 */
const LINKABLE_PATH = /^\/(?:$|client\/|openapi(?:\/|$)|api\/recordings(?:\/|$))/;

/** Destinations that put an answer into another page's window. */
const FRAME_DESTINATIONS: ReadonlySet<string> = new Set([
  "embed",
  "fencedframe",
  "frame",
  "iframe",
  "object",
]);

const PASS: HostAndOriginVerdict = { kind: "pass" };

/**
 * Decides whether a request may go on to its route: it must be addressed to a loopback name, and the
 * page behind it, if there is one, must have a trusted origin (see `isTrustedOrigin`).
 *
 * - Browsers send `Origin` with everything that can change something or be read across origins.
 * - Without it, `Sec-Fetch-Site` says whether the page is of this server's own origin. If it is not,
 *   `Referer` may still name a trusted page, which embeds a file: no page can forge that header, only
 *   leave it out. Other pages get nothing but top-level navigations to what a link may open.
 * - `Sec-Fetch-Site: none` is said of what the user typed, but also of what a page has the browser load
 *   ahead by speculation rules (seen in Chromium 156). `Sec-Purpose` tells those, and they count as links.
 * - A request with neither header comes from a program that is not a browser, and passes. Browsers send
 *   `Sec-Fetch-Site` to every loopback address (Fetch Metadata: potentially trustworthy URLs).
 */
export function judgeHostAndOrigin(
  facts: RequestFacts,
  allowedOrigins: readonly string[],
): HostAndOriginVerdict {
  const hostName = hostNameOf(facts.host);
  if (hostName === undefined) return { kind: "invalid-host" };
  if (!isLoopbackName(hostName)) return { kind: "misdirected" };
  const { origin } = facts;
  if (origin !== null) {
    return isTrustedOrigin(origin, allowedOrigins) ? PASS : { kind: "foreign-page", origin };
  }
  return judgeWithoutOrigin(facts, allowedOrigins);
}

/**
 * Whether pages of an origin may send requests and read answers: those of loopback addresses with any
 * port, over http or https, and those that the operator has allowed.
 *
 * Names below `localhost`, such as `app.localhost`, are no loopback addresses here: gateways of IPFS
 * and sandboxes serve strangers' pages under such names, to keep them apart from `localhost`.
 */
export function isTrustedOrigin(origin: string, allowedOrigins: readonly string[]): boolean {
  if (allowedOrigins.includes(origin)) return true;
  // Only what a browser could send: `null`, lists and URLs with a path are not equal to their origin.
  if (!/^https?:/.test(origin) || originOf(origin) !== origin) return false;
  return isLoopbackName(new URL(origin).hostname);
}

function judgeWithoutOrigin(
  { method, path, referer, secFetchSite, secFetchMode, secFetchDest, secPurpose }: RequestFacts,
  allowedOrigins: readonly string[],
): HostAndOriginVerdict {
  if (secFetchSite === null || secFetchSite === "same-origin") return PASS;
  if (secFetchSite === "none" && secPurpose === null) return PASS;
  const isLinkable =
    (method === "GET" || method === "HEAD") && path !== null && LINKABLE_PATH.test(path);
  if (!isLinkable || (secFetchDest !== null && FRAME_DESTINATIONS.has(secFetchDest))) {
    return { kind: "foreign-page", origin: null };
  }
  if (secFetchMode === "navigate" && secFetchDest === "document") return PASS;
  const origin = originOf(referer) ?? null;
  return origin !== null && isTrustedOrigin(origin, allowedOrigins)
    ? PASS
    : { kind: "foreign-page", origin };
}

/** The name or address in a Host header, in the form that URLs have it; undefined if it is malformed. */
function hostNameOf(host: string | null): string | undefined {
  if (host === null || !HOST_HEADER.test(host)) return undefined;
  const url = `http://${host}/`;
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

/** @param name as URLs have it: in lower case, addresses in their shortest form */
function isLoopbackName(name: string): boolean {
  return /^(?:localhost\.?|127(?:\.\d{1,3}){3}|\[::1\])$/.test(name);
}

function originOf(url: string | null): string | undefined {
  return url !== null && URL.canParse(url) ? new URL(url).origin : undefined;
}
