/**
 * The fault tests run in two lengths: a short one with all other tests, and the long campaigns of
 * `bun run test:faults`, which sets this variable.
 */
const isLong = process.env["FAULT_CAMPAIGN"] === "long";

/** The figure for this run: how many faults, how long offline, how many mutants. */
export function campaign<T>(sizes: { readonly short: T; readonly long: T }): T {
  return isLong ? sizes.long : sizes.short;
}

/**
 * Time limit of a campaign's test, in milliseconds: two minutes in the short form, two hours in the
 * long one.
 */
export const CAMPAIGN_TIMEOUT_MS = campaign({ short: 120_000, long: 7_200_000 });
