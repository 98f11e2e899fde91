import { Elysia } from "elysia";
import type { Logger } from "pino";
import { isTrustedOrigin, judgeHostAndOrigin, type RequestFacts } from "./host-and-origin.ts";
import { ForeignOriginError, InvalidHostError, MisdirectedRequestError } from "./request-errors.ts";
import { pathOf } from "./request-target.ts";

/** How long a browser may remember the answer to its preflight request (Chromium's own limit). */
const PREFLIGHT_MAX_AGE_SECONDS = 7_200;

const PREFLIGHT_HEADERS = {
  "access-control-allow-methods": "GET, HEAD, POST, DELETE",
  // The wildcard does not stand for Authorization (Fetch, "CORS non-wildcard request-header name").
  "access-control-allow-headers": "*, Authorization",
  "access-control-max-age": String(PREFLIGHT_MAX_AGE_SECONDS),
};

const EXPOSED_HEADERS = [
  "Accept-Ranges",
  "Content-Disposition",
  "Content-Length",
  "Content-Range",
  "ETag",
  "Last-Modified",
  "Retry-After",
  "X-Segment-Id",
].join(", ");

/** What every answer has, unless its route says otherwise. */
const DEFAULT_HEADERS = {
  // Whatever a route does not call cacheable can change at any time.
  "cache-control": "no-store",
  // Whether an answer may be read depends on who asks.
  vary: "Origin",
  // A page around the studio could make its user click on what it covers.
  "content-security-policy": "frame-ancestors 'self'",
};

/** Origins that are logged when they are refused for the first time; a page could invent any number. */
const LOGGED_ORIGINS_MAX = 32;

interface Parts {
  /** Beside those of loopback addresses; see `isTrustedOrigin`. */
  readonly allowedOrigins: readonly string[];
  readonly log: Logger;
}

/**
 * Runs before every route: refuses what is addressed to another host or sent by a foreign page, before
 * anything is done for it, answers preflight requests, and lets the pages that may read answers do so.
 * Answers to all others have no CORS header.
 */
export function hostAndOriginGate({ allowedOrigins, log }: Parts) {
  const logged = new Set<string>();
  const logRefusal = (refused: { readonly origin: string | null } | { readonly host: string }) => {
    const key = JSON.stringify(refused);
    if (logged.has(key) || logged.size >= LOGGED_ORIGINS_MAX) return;
    logged.add(key);
    log.warn(refused, "refused requests of this origin or host; README: Origins and hosts");
  };

  return new Elysia({ name: "host-and-origin-gate" })
    .onRequest(({ request, set }) => {
      const facts = factsOf(request);
      const { origin } = facts;
      Object.assign(set.headers, DEFAULT_HEADERS);
      const isTrusted = origin !== null && isTrustedOrigin(origin, allowedOrigins);
      if (isTrusted) {
        set.headers["access-control-allow-origin"] = origin;
        set.headers["access-control-expose-headers"] = EXPOSED_HEADERS;
      }
      const verdict = judgeHostAndOrigin(facts, allowedOrigins);
      switch (verdict.kind) {
        case "invalid-host":
          throw new InvalidHostError(facts.host);
        case "misdirected":
          logRefusal({ host: facts.host ?? "" });
          throw new MisdirectedRequestError(facts.host ?? "");
        case "foreign-page":
          logRefusal({ origin: verdict.origin });
          throw new ForeignOriginError(verdict.origin);
        case "pass":
          if (isTrusted && isPreflight(request)) return preflightResponse(request);
      }
      return undefined;
    })
    .as("global");
}

function factsOf(request: Request): RequestFacts {
  const { method, headers, url } = request;
  return {
    method,
    path: pathOf(url),
    // Requests that were made in this process have their host in the URL alone. Those that came over a
    // connection have a URL without a host when they have no Host header.
    host: headers.get("host") ?? (URL.canParse(url) ? new URL(url).host : null),
    origin: headers.get("origin"),
    referer: headers.get("referer"),
    secFetchSite: headers.get("sec-fetch-site"),
    secFetchMode: headers.get("sec-fetch-mode"),
    secFetchDest: headers.get("sec-fetch-dest"),
    secPurpose: headers.get("sec-purpose"),
  };
}

/** Fetch, "CORS-preflight request". */
function isPreflight({ method, headers }: Request): boolean {
  return method === "OPTIONS" && headers.has("access-control-request-method");
}

function preflightResponse({ headers }: Request): Response {
  const asksForLocalNetwork = headers.get("access-control-request-private-network") === "true";
  return new Response(null, {
    status: 204,
    headers: {
      ...PREFLIGHT_HEADERS,
      ...(asksForLocalNetwork ? { "access-control-allow-private-network": "true" } : {}),
    },
  });
}
