/** A value of the catalogue that this version of the server cannot read. */
export interface RowFault {
  readonly table: string;
  /** IDs that name the row, as they are stored. */
  readonly row: readonly unknown[];
  readonly column: string;
  readonly error: unknown;
}

/** Reports what cannot be read in one row. */
export type ReportFault = (column: string, error: unknown) => void;

/** Last instant that JavaScript's dates know, in milliseconds from the epoch in either direction. */
const TIME_MS_MAX = 8.64e15;

/** Told faults are remembered up to so many; beyond it some are told again. */
const REMEMBERED_MAX = 10_000;

/**
 * Reports rows that cannot be read: each value once, since lists read the same rows again and again. A
 * row that cannot be read harms itself alone: readers go on with what they can read of it.
 */
export class RowFaults {
  readonly #report: (fault: RowFault) => void;
  readonly #reported = new Set<string>();

  constructor(report: (fault: RowFault) => void) {
    this.#report = report;
  }

  /** For one row, named by its IDs. */
  of(table: string, ...row: readonly unknown[]): ReportFault {
    return (column, error) => {
      const name = JSON.stringify([table, row, column]);
      if (this.#reported.has(name)) return;
      if (this.#reported.size >= REMEMBERED_MAX) this.#reported.clear();
      this.#reported.add(name);
      this.#report({ table, row, column, error });
    };
  }
}

/** What `read` gives; undefined, and a report, when it throws. */
export function readOr<T>(column: string, report: ReportFault, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    report(column, error);
    return undefined;
  }
}

/** A stored time: SQLite keeps any value in any column, and dates throw for times beyond theirs. */
export function readTimeMs(value: unknown): number {
  if (typeof value !== "number" || !(Math.abs(value) <= TIME_MS_MAX)) {
    throw new RangeError(`${JSON.stringify(value)} is no time`);
  }
  return value;
}

/** A stored text for people; anything else counts as none. */
export function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** A stored count; anything else counts as 0. */
export function countOrZero(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
