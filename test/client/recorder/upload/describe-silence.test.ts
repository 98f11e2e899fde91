import { describe, expect, test } from "bun:test";
import {
  describeSilence,
  localNetworkPermission,
  type Silence,
} from "../../../../client/recorder/upload/describe-silence.ts";

function silence(known: Partial<Silence> = {}) {
  return describeSilence({
    serverUrl: "http://127.0.0.1:3000/",
    pageOrigin: "https://app.example",
    isAnswered: false,
    hasAcknowledged: false,
    permission: null,
    said: "Failed to fetch",
    ...known,
  });
}

/** A browser's permissions that it knows; null where no page may ask. */
const permissionsWith = (states: Readonly<Record<string, PermissionState>> | null) => ({
  query: async ({ name }: { readonly name: string }) => {
    if (states === null) throw new DOMException("not here", "InvalidStateError");
    const state = states[name];
    if (state === undefined) throw new TypeError(`${name} is no name of a permission`);
    return { state };
  },
});

describe("describeSilence", () => {
  test("names what can be the cause of a first silence, in order", () => {
    const { cause, reason } = silence();
    expect(cause).toBe("no-answer");
    expect(reason).toMatch(
      /cannot be reached.*https:\/\/app\.example.*ALLOWED_ORIGINS.*connect-src.*permission for access to the local network/,
    );
  });

  for (const host of ["localhost", "10.1.2.3", "192.168.0.9", "172.20.1.1", "[::1]", "[fd00::1]"]) {
    test(`says for certain that the permission for ${host} was denied`, () => {
      const { cause, reason } = silence({
        serverUrl: `http://${host}:3000/`,
        permission: "denied",
      });
      expect(cause).toBe("permission-denied");
      expect(reason).toContain("was denied");
    });
  }

  test("says nothing of a permission that is not needed", () => {
    for (const known of [
      { serverUrl: "https://recordings.example/" },
      { serverUrl: "https://172.32.0.1/" },
      { pageOrigin: "http://localhost:8080" },
    ]) {
      const { cause, reason } = silence({ ...known, permission: "denied" });
      expect(cause).toBe("no-answer");
      expect(reason).not.toContain("permission");
    }
  });

  test("tells an origin that is not allowed from a sign-in that has run out", () => {
    expect(silence({ isAnswered: true })).toMatchObject({ cause: "origin-refused" });
    expect(silence({ isAnswered: true }).reason).toContain("ALLOWED_ORIGINS");
    expect(silence({ isAnswered: true, hasAcknowledged: true })).toMatchObject({
      cause: "sign-in-needed",
    });
  });

  test("suspects no set-up that has worked", () => {
    const { reason } = silence({ hasAcknowledged: true });
    expect(reason).toBe("http://127.0.0.1:3000 gives no answer (Failed to fetch).");
  });
});

describe("localNetworkPermission", () => {
  test("asks under each name that browsers have for it", async () => {
    expect(await localNetworkPermission(permissionsWith({}))).toBeNull();
    expect(
      await localNetworkPermission(permissionsWith({ "local-network-access": "prompt" })),
    ).toBe("prompt");
    expect(
      await localNetworkPermission(
        permissionsWith({ "loopback-network": "granted", "local-network": "denied" }),
      ),
    ).toBe("denied");
  });

  test("takes it for unknown where a page may not ask", async () => {
    expect(await localNetworkPermission(permissionsWith(null))).toBeNull();
  });
});
