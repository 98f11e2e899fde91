import { describe, expect, test } from "bun:test";
import {
  isTrustedOrigin,
  judgeHostAndOrigin,
  type RequestFacts,
} from "../../src/http/host-and-origin.ts";

const ALLOWED = ["https://app.example", "capacitor://localhost"];

const FILE = "/api/recordings/1/participants/a/tracks/camera/media.mp4";

const CURL: RequestFacts = {
  method: "GET",
  path: FILE,
  host: "127.0.0.1:3000",
  origin: null,
  referer: null,
  secFetchSite: null,
  secFetchMode: null,
  secFetchDest: null,
  secPurpose: null,
};

const judge = (facts: Partial<RequestFacts>) =>
  judgeHostAndOrigin({ ...CURL, ...facts }, ALLOWED).kind;

describe("a Host header", () => {
  test.each([
    "localhost",
    "LocalHost:5173",
    "localhost.",
    "localhost:",
    "127.0.0.1",
    "127.0.0.1:3000",
    "127.255.255.254:65535",
    "[::1]",
    "[::1]:3000",
    "[0:0:0:0:0:0:0:1]:80",
  ])("%s is this machine's", (host) => {
    expect(judge({ host })).toBe("pass");
  });

  test.each([
    "a",
    "evil.example",
    "evil.example:3000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "app.localhost:3000",
    "0.0.0.0:3000",
    "128.0.0.1",
    "192.168.1.5",
    "[::2]",
    "[::ffff:127.0.0.1]",
    "x".repeat(300),
  ])("%s is another's", (host) => {
    expect(judge({ host })).toBe("misdirected");
  });

  test.each([
    null,
    "",
    " ",
    ":3000",
    "local host",
    "localhost:99999",
    "localhost:x",
    "localhost/client",
    "localhost?",
    "localhost#",
    "user@localhost",
    "localhost, localhost",
    "127.0.0.1:3000, evil.example",
    "127.0.0.1.1.1",
    "[::1",
    "::1",
    "[::1]x",
    "[]",
    "loc%61lhost",
    "lócalhost",
    "localhost\\",
    "localhost\u0000",
  ])("%p is malformed", (host) => {
    expect(judge({ host })).toBe("invalid-host");
  });
});

describe("an origin", () => {
  test.each([
    "http://localhost",
    "http://localhost:5173",
    "https://localhost:5173",
    "http://127.0.0.1:8080",
    "http://[::1]:8080",
    ...ALLOWED,
  ])("%s is trusted, whatever else the request says", (origin) => {
    expect(isTrustedOrigin(origin, ALLOWED)).toBe(true);
    for (const secFetchSite of [null, "same-site", "cross-site"]) {
      expect(judge({ method: "DELETE", origin, secFetchSite })).toBe("pass");
    }
  });

  test.each([
    "null",
    "",
    "http://evil.example",
    "http://app.example",
    "https://app.example.evil.example",
    "https://app.example:444",
    "https://app.example/",
    "http://localhost.evil.example",
    "http://app.localhost:8080",
    "http://0.0.0.0",
    "http://localhost:5173/",
    "http://user@localhost",
    "http://evil.example, http://localhost",
    "file://",
    "file://localhost",
    "chrome-extension://localhost",
    "data:,",
    "localhost",
  ])("%p is foreign, whatever else the request says", (origin) => {
    expect(isTrustedOrigin(origin, ALLOWED)).toBe(false);
    for (const secFetchSite of [null, "none", "same-origin", "same-site", "cross-site"]) {
      for (const method of ["GET", "HEAD", "POST", "DELETE", "OPTIONS"]) {
        expect(judge({ method, origin, secFetchSite })).toBe("foreign-page");
      }
    }
  });
});

describe("without an Origin", () => {
  test.each([null, "none", "same-origin"])("what is of site %p passes", (secFetchSite) => {
    expect(judge({ secFetchSite, method: "POST" })).toBe("pass");
    expect(judge({ secFetchSite, path: "/recording/start" })).toBe("pass");
  });

  const embedded = { secFetchSite: "cross-site", secFetchMode: "no-cors", secFetchDest: "video" };

  test("media are shown only by pages whose Referer is trusted", () => {
    expect(judge({ ...embedded, referer: "http://localhost:5173/" })).toBe("pass");
    expect(judge({ ...embedded, referer: "https://app.example/call?id=1" })).toBe("pass");
    expect(judge({ ...embedded, secFetchSite: "same-site", referer: "http://127.0.0.1:1/" })).toBe(
      "pass",
    );
    for (const referer of [null, "", "about:blank", "http://evil.example/", "localhost"]) {
      for (const secFetchSite of ["same-site", "cross-site", "something-new"]) {
        expect(judge({ ...embedded, secFetchSite, referer })).toBe("foreign-page");
      }
    }
  });

  test("no page can change anything", () => {
    for (const referer of [null, "http://localhost:5173/", "http://evil.example/"]) {
      expect(judge({ ...embedded, referer, path: "/recording/start" })).toBe("foreign-page");
      expect(judge({ ...embedded, referer, path: "/api/recording/start" })).toBe("foreign-page");
      expect(judge({ ...embedded, referer, path: "//recording/start" })).toBe("foreign-page");
      expect(judge({ ...embedded, referer, path: null })).toBe("foreign-page");
      expect(judge({ ...embedded, referer, method: "POST" })).toBe("foreign-page");
      expect(judge({ ...embedded, referer, method: "DELETE" })).toBe("foreign-page");
    }
  });

  test("links open from anywhere, except those that start a recording", () => {
    const link = { secFetchSite: "cross-site", secFetchMode: "navigate", secFetchDest: "document" };
    for (const path of ["/", "/openapi", "/api/recordings", FILE]) {
      expect(judge({ ...link, path })).toBe("pass");
      expect(judge({ ...link, path, referer: "http://evil.example/" })).toBe("pass");
      expect(judge({ ...link, path, method: "POST" })).toBe("foreign-page");
    }
    for (const path of ["/recording/start", "/api/recording/start"]) {
      expect(judge({ ...link, path })).toBe("foreign-page");
    }
  });

  test("what a page lets the browser load ahead counts as its link, though its site is none", () => {
    const link = { secFetchSite: "none", secFetchMode: "navigate", secFetchDest: "document" };
    for (const secPurpose of ["prefetch", "prefetch;prerender"]) {
      expect(judge({ ...link, secPurpose, path: "/" })).toBe("pass");
      expect(judge({ ...link, secPurpose, path: "/recording/start" })).toBe("foreign-page");
      expect(judge({ ...link, secPurpose, path: "/api/recording/start" })).toBe("foreign-page");
      expect(judge({ ...link, secPurpose, method: "POST" })).toBe("foreign-page");
    }
  });

  test.each(["iframe", "frame", "embed", "object", "fencedframe"])(
    "nothing is shown in an element %s",
    (secFetchDest) => {
      const frame = { secFetchSite: "cross-site", secFetchMode: "navigate", secFetchDest };
      for (const referer of [null, "http://localhost:5173/", "http://evil.example/"]) {
        expect(judge({ ...frame, referer, path: "/" })).toBe("foreign-page");
      }
    },
  );
});
