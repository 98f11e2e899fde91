import { type Kysely, sql } from "kysely";
import type { ExportId, ExportState } from "../contract/exports.ts";
import type { RecordingId } from "../contract/ids.ts";
import type {
  ExportQueue,
  ExportRecord,
  ExportResult,
  LeftExport,
} from "../exports/export-queue.ts";
import { FairTurns } from "../jobs/fair-turns.ts";
import type { Clock } from "../recording/ports.ts";
import type { CatalogDatabase, ExportJobsTable } from "./catalog-schema.ts";
import { exportRecordOf, leftExportOf } from "./export-rows.ts";
import type { ReportFault, RowFaults } from "./row-faults.ts";

/** The exports, in the catalogue's database. */
export class SqliteExportQueue implements ExportQueue {
  readonly #db: Kysely<CatalogDatabase>;
  readonly #clock: Clock;
  readonly #faults: RowFaults;
  /** Of running exports: a crash begins them anew, so it need not be durable. */
  readonly #progress = new Map<string, number>();
  readonly #turns = new FairTurns<string>();

  constructor(db: Kysely<CatalogDatabase>, clock: Clock, faults: RowFaults) {
    this.#db = db;
    this.#clock = clock;
    this.#faults = faults;
  }

  async add({
    exportId,
    recordingId,
    request,
  }: Pick<ExportRecord, "exportId" | "recordingId" | "request">): Promise<void> {
    const nowMs = this.#clock.nowMs();
    await this.#db
      .insertInto("export_jobs")
      .values({
        export_id: exportId,
        recording_id: recordingId,
        request: JSON.stringify(request),
        state: "queued",
        attempts: 0,
        reason: null,
        files: "[]",
        sources: "[]",
        created_at_ms: nowMs,
        queued_at_ms: nowMs,
        ended_at_ms: null,
        removed: 0,
      })
      .execute();
  }

  async find(recordingId: RecordingId, exportId: ExportId): Promise<ExportRecord | undefined> {
    const row = await this.#findRow(recordingId, exportId);
    return row === undefined ? undefined : this.#recordOf(row);
  }

  async findLeft(recordingId: RecordingId, exportId: ExportId): Promise<LeftExport | undefined> {
    const row = await this.#findRow(recordingId, exportId);
    return row === undefined ? undefined : leftExportOf(row, this.#reportOf(row));
  }

  async #findRow(
    recordingId: RecordingId,
    exportId: ExportId,
  ): Promise<ExportJobsTable | undefined> {
    return await this.#db
      .selectFrom("export_jobs")
      .selectAll()
      .where("export_id", "=", exportId)
      .where("recording_id", "=", recordingId)
      .where("removed", "=", 0)
      .executeTakeFirst();
  }

  async list(recordingId: RecordingId): Promise<ExportRecord[]> {
    const rows = await this.#db
      .selectFrom("export_jobs")
      .selectAll()
      .where("recording_id", "=", recordingId)
      .where("removed", "=", 0)
      // UUIDs of version 7: their order is that of the requests.
      .orderBy("export_id", "desc")
      .execute();
    return rows.flatMap((row) => this.#recordOf(row) ?? []);
  }

  async take(): Promise<ExportRecord | undefined> {
    for (;;) {
      const recordingId = this.#turns.next(await this.#waitingRecordings());
      if (recordingId === undefined) return undefined;
      const row = await this.#takeRow(recordingId);
      // It can have been cancelled meanwhile.
      if (row === undefined) continue;
      this.#progress.delete(row.export_id);
      const record = this.#recordOf(row);
      if (record !== undefined) return record;
      const left = leftExportOf(row, this.#reportOf(row));
      // One that nothing can name stays marked as running, so that the next one is taken.
      if (left !== undefined) {
        await this.fail(left.exportId, "This version of the server cannot make it.");
      }
    }
  }

  /** Those that have a queued export, the one whose export waits longest first. */
  async #waitingRecordings(): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("export_jobs")
      .select("recording_id")
      .where("state", "=", "queued")
      .where("removed", "=", 0)
      .groupBy("recording_id")
      .orderBy(({ fn }) => fn.min("queued_at_ms"))
      .orderBy(({ fn }) => fn.min("export_id"))
      .execute();
    return rows.map((row) => row.recording_id);
  }

  async #takeRow(recordingId: string): Promise<ExportJobsTable | undefined> {
    return await this.#db
      .updateTable("export_jobs")
      .set(({ eb }) => ({ state: "running", attempts: eb("attempts", "+", 1) }))
      .where((eb) =>
        eb(
          "export_id",
          "=",
          eb
            .selectFrom("export_jobs")
            .where("state", "=", "queued")
            .where("removed", "=", 0)
            .where("recording_id", "=", recordingId)
            .orderBy("queued_at_ms")
            .orderBy("export_id")
            .select("export_id")
            .limit(1),
        ),
      )
      .returningAll()
      .executeTakeFirst();
  }

  reportProgress(exportId: ExportId, progress: number): void {
    this.#progress.set(exportId, progress);
  }

  finish(exportId: ExportId, { files, sources }: ExportResult): Promise<boolean> {
    return this.#move(exportId, ["running"], {
      state: "done",
      reason: null,
      files: JSON.stringify(files),
      sources: JSON.stringify(sources),
      ended_at_ms: this.#clock.nowMs(),
    });
  }

  fail(exportId: ExportId, reason: string): Promise<boolean> {
    const ended_at_ms = this.#clock.nowMs();
    return this.#move(exportId, ["queued", "running"], { state: "failed", reason, ended_at_ms });
  }

  requeue(exportId: ExportId, reason: string): Promise<boolean> {
    return this.#move(exportId, ["running"], { state: "queued", reason });
  }

  async release(exportId: ExportId): Promise<void> {
    await this.#db
      .updateTable("export_jobs")
      .set(({ eb }) => ({ state: "queued", attempts: eb("attempts", "-", 1) }))
      .where("export_id", "=", exportId)
      .where("state", "=", "running")
      .where("removed", "=", 0)
      .execute();
    this.#progress.delete(exportId);
  }

  cancel(exportId: ExportId): Promise<boolean> {
    return this.#move(exportId, ["queued", "running"], {
      state: "cancelled",
      reason: null,
      ended_at_ms: this.#clock.nowMs(),
    });
  }

  retry(exportId: ExportId): Promise<boolean> {
    return this.#move(exportId, ["failed", "cancelled"], {
      state: "queued",
      attempts: 0,
      reason: null,
      queued_at_ms: this.#clock.nowMs(),
      ended_at_ms: null,
    });
  }

  async markRemoved(exportId: ExportId): Promise<void> {
    await this.#db
      .updateTable("export_jobs")
      .set({
        removed: 1,
        // Not taken again, and what runs cannot end as if nothing had been.
        state: sql<string>`case when state in ('queued', 'running') then 'cancelled' else state end`,
      })
      .where("export_id", "=", exportId)
      .execute();
  }

  async recover() {
    const interrupted = await this.#db
      .updateTable("export_jobs")
      .set({ state: "queued" })
      .where("state", "=", "running")
      .returningAll()
      .execute();
    const others = await this.#db
      .selectFrom("export_jobs")
      .selectAll()
      .where((eb) => eb.or([eb("state", "=", "cancelled"), eb("removed", "=", 1)]))
      .execute();
    const left = (rows: readonly ExportJobsTable[]): LeftExport[] =>
      rows.flatMap((row) => leftExportOf(row, this.#reportOf(row)) ?? []);
    return {
      interrupted: left(interrupted),
      cancelled: left(others.filter(({ removed }) => removed === 0)),
      removed: left(others.filter(({ removed }) => removed === 1)),
    };
  }

  async forget(exportId: ExportId): Promise<void> {
    this.#progress.delete(exportId);
    await this.#db.deleteFrom("export_jobs").where("export_id", "=", exportId).execute();
  }

  async forgetRecording(recordingId: RecordingId): Promise<void> {
    await this.#db.deleteFrom("export_jobs").where("recording_id", "=", recordingId).execute();
  }

  #recordOf(row: ExportJobsTable): ExportRecord | undefined {
    return exportRecordOf(row, this.#progress.get(row.export_id) ?? 0, this.#reportOf(row));
  }

  #reportOf({ recording_id, export_id }: ExportJobsTable): ReportFault {
    return this.#faults.of("export_jobs", recording_id, export_id);
  }

  /** Changes an export that is in one of the states; tells whether it was. */
  async #move(
    exportId: ExportId,
    from: readonly ExportState[],
    change: Partial<ExportJobsTable>,
  ): Promise<boolean> {
    const row = await this.#db
      .updateTable("export_jobs")
      .set(change)
      .where("export_id", "=", exportId)
      .where("state", "in", from)
      .where("removed", "=", 0)
      .returning("export_id")
      .executeTakeFirst();
    if (row === undefined) return false;
    this.#progress.delete(exportId);
    return true;
  }
}
