import { expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { type MeddlingProxy, startMeddlingProxy } from "../../support/meddling-proxy.ts";
import { openTestBed } from "../../support/test-bed.ts";
import { until } from "../../support/until.ts";

const TEST_TIMEOUT_MS = 120_000;

/** As the README says. */
const POLICY: Readonly<Record<string, string>> = {
  "default-src": "'none'",
  "script-src": "'self'",
  "style-src": "'self'",
  "img-src": "'self' data:",
  "media-src": "'self' blob:",
  "connect-src": "'self'",
  "worker-src": "blob:",
};

/** Has the proxy send the page with the policy, and with one that only reports, of everything. */
function sendPolicies(proxy: MeddlingProxy): void {
  const policy = Object.entries(POLICY).map((directive) => directive.join(" "));
  proxy.meddle(async ({ path }, pass) => {
    const response = await pass();
    if (path !== "/") return response;
    const headers = new Headers(response.headers);
    headers.set("Content-Security-Policy", policy.join("; "));
    headers.set("Content-Security-Policy-Report-Only", "default-src 'none'");
    const { status } = response;
    return new Response(await response.arrayBuffer(), { status, headers });
  });
}

/** What the policies forbade, `enforce` or `report` with the directive, or would have. */
async function watchViolations(page: Page, violations: Set<string>): Promise<void> {
  await page.exposeFunction("tellViolation", (words: string) => violations.add(words));
  await page.addInitScript(`addEventListener("securitypolicyviolation", (event) => {
    // What is loaded by an element is told apart; the directive is the same.
    const directive = event.effectiveDirective.replace(/-(elem|attr)$/, "");
    window.tellViolation(event.disposition + " " + directive);
  });`);
}

/** Waits until an expression holds. Playwright's own wait is code in the page, which the policy forbids. */
async function holds(page: Page, expression: string): Promise<void> {
  await until(async () => (await page.evaluate<boolean>(expression)) || undefined, {
    what: expression,
    timeoutMs: 60_000,
  });
}

test(
  "the studio records, plays and is watched live under the policy in the README, and needs all of it",
  async () => {
    await using bed = await openTestBed();
    await using proxy = startMeddlingProxy(bed.server.url);
    sendPolicies(proxy);
    const violations = new Set<string>();
    const page = await bed.browser.newPage({ permissions: ["camera", "microphone"] });
    await watchViolations(page, violations);
    await page.goto(proxy.url);
    await holds(page, `document.querySelector("#preview").videoWidth > 0`);
    await page.getByRole("button", { name: "Record", exact: true }).click();
    await page
      .getByTestId("safety")
      .filter({ hasText: "Everything recorded so far is saved" })
      .waitFor();

    const other = await bed.browser.newPage();
    await watchViolations(other, violations);
    await other.goto(proxy.url);
    await other.getByRole("button", { name: /^Watch live/ }).click();
    await holds(other, `document.querySelector("[data-testid=live] video")?.videoWidth > 0`);
    await other.close();

    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page.getByTestId("poster").first().waitFor();
    await page.evaluate(`document.querySelector("#result video").play()`);
    await holds(page, `document.querySelector("#result video").currentTime > 0.5`);
    expect(page.workers()).toHaveLength(1);

    const needed = Object.keys(POLICY).filter((name) => name !== "default-src");
    expect([...violations].toSorted()).toEqual(needed.map((name) => `report ${name}`).toSorted());
  },
  TEST_TIMEOUT_MS,
);
