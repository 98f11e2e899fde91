import { Database } from "bun:sqlite";
import { Kysely, Migrator } from "kysely";
import { BunSqliteDialect } from "kysely-bun-sqlite";
import type { RecordingId } from "../contract/ids.ts";
import type { ListRecordingsQuery, RecordingState } from "../contract/recordings.ts";
import { StorageFailedError } from "../recording/errors.ts";
import type {
  Catalog,
  Clock,
  FinalizeJob,
  RecordingRecord,
  TrackKey,
  TrackRecord,
  TrackResult,
} from "../recording/ports.ts";
import { recordOf, trackRecordOf } from "./catalog-rows.ts";
import {
  type CatalogDatabase,
  type RecordingsTable,
  type TracksTable,
  catalogMigrations,
} from "./catalog-schema.ts";
import { FaultTellingDialect } from "./fault-telling-dialect.ts";
import { type RowFault, RowFaults } from "./row-faults.ts";
import { SqliteExportQueue } from "./sqlite-export-queue.ts";
import { SqliteJobQueue } from "./sqlite-job-queue.ts";

/** How long a statement waits for another process that holds the database. */
const BUSY_TIMEOUT_MS = 5_000;

/** `recording` < `finalizing` < `failed` < `ready`: a recording never moves down. */
const STATE_RANKS: Readonly<Record<RecordingState, number>> = {
  recording: 0,
  finalizing: 1,
  failed: 2,
  ready: 3,
};

const KNOWN_STATES = Object.keys(STATE_RANKS);

/**
 * The catalogue in one SQLite file. Every write is synced before it resolves; one that the disk
 * refuses rejects with StorageFullError or StorageFailedError and has changed nothing.
 */
export class SqliteCatalog implements Catalog {
  /** The finalizations, in the same file. */
  readonly jobs: SqliteJobQueue;
  /** The exports, in the same file. */
  readonly exports: SqliteExportQueue;
  readonly #db: Kysely<CatalogDatabase>;
  readonly #faults: RowFaults;

  private constructor(db: Kysely<CatalogDatabase>, clock: Clock, faults: RowFaults) {
    this.#db = db;
    this.#faults = faults;
    this.jobs = new SqliteJobQueue(db, clock, faults);
    this.exports = new SqliteExportQueue(db, clock, faults);
  }

  /**
   * Opens the catalogue at `path`, makes it when it is not there, and brings its schema up to date.
   *
   * @param onFault told once of each value that cannot be read; its row harms no other
   * @throws StorageFailedError when the file cannot be opened or is no catalogue
   */
  static async open(
    path: string,
    clock: Clock,
    onFault: (fault: RowFault) => void = () => {},
  ): Promise<SqliteCatalog> {
    let database: Database | undefined;
    try {
      database = new Database(path, { create: true, strict: true });
      database.run("PRAGMA journal_mode = WAL");
      database.run("PRAGMA synchronous = FULL");
      database.run("PRAGMA foreign_keys = ON");
      database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      const db = new Kysely<CatalogDatabase>({
        dialect: new FaultTellingDialect(new BunSqliteDialect({ database })),
      });
      const migrator = new Migrator({
        db,
        provider: { getMigrations: () => Promise.resolve(catalogMigrations) },
      });
      const { error } = await migrator.migrateToLatest();
      if (error !== undefined) {
        const why = error instanceof Error ? error.message : "unknown";
        throw new Error(
          `Its schema cannot be brought up to date; a newer server may have written it: ${why}`,
          { cause: error },
        );
      }
      return new SqliteCatalog(db, clock, new RowFaults(onFault));
    } catch (error) {
      database?.close();
      throw new StorageFailedError(`The catalogue ${path} cannot be opened (${String(error)}).`, {
        cause: error,
      });
    }
  }

  /** Closes the file. */
  async close(): Promise<void> {
    await this.#db.destroy();
  }

  async addRecording(record: RecordingRecord): Promise<void> {
    await this.#db
      .insertInto("recordings")
      .values({
        recording_id: record.recordingId,
        name: record.name,
        metadata: JSON.stringify(record.metadata),
        state: record.state,
        reason: record.reason,
        started_at_ms: record.startedAtMs,
        stopped_at_ms: record.stoppedAtMs,
        finalized_at_ms: record.finalizedAtMs,
        deleted_at_ms: record.deletedAtMs,
        purged: 0,
      })
      .execute();
  }

  async findRecording(recordingId: RecordingId): Promise<RecordingRecord | undefined> {
    const row = await this.#db
      .selectFrom("recordings")
      .selectAll()
      .where("recording_id", "=", recordingId)
      .executeTakeFirst();
    return row === undefined ? undefined : this.#recordOf(row);
  }

  async listRecordings(query: ListRecordingsQuery): Promise<{
    recordings: RecordingRecord[];
    nextCursor: RecordingId | null;
  }> {
    const { limit } = query;
    let { cursor }: { cursor?: string | undefined } = query;
    for (;;) {
      const rows = await this.#rowsOfPage({ ...query, cursor });
      const page = rows.slice(0, limit);
      const recordings = page.flatMap((row) => this.#recordOf(row) ?? []);
      const hasMore = rows.length > limit;
      const last = recordings.at(-1);
      if (!hasMore || last !== undefined) {
        return { recordings, nextCursor: hasMore ? (last?.recordingId ?? null) : null };
      }
      // A whole page of rows that nothing can name: the next one may have others.
      cursor = page.at(-1)?.recording_id;
    }
  }

  async #rowsOfPage({
    state,
    q,
    limit,
    cursor,
  }: Omit<ListRecordingsQuery, "cursor"> & { readonly cursor: string | undefined }): Promise<
    RecordingsTable[]
  > {
    // Recording IDs are UUIDs of version 7: their order is that of the starts.
    let query = this.#db
      .selectFrom("recordings")
      .selectAll()
      .where("deleted_at_ms", "is", null)
      .orderBy("recording_id", "desc")
      .limit(limit + 1);
    if (state !== undefined) {
      // One that cannot be read is shown as failed.
      const unknown = state === "failed" ? KNOWN_STATES : undefined;
      query = query.where((eb) =>
        unknown === undefined
          ? eb("state", "=", state)
          : eb.or([eb("state", "=", state), eb("state", "not in", unknown)]),
      );
    }
    if (cursor !== undefined) query = query.where("recording_id", "<", cursor);
    if (q !== undefined && q !== "") {
      query = query.where((eb) => {
        const name = eb.fn("lower", ["name"]);
        const part = eb.fn("lower", [eb.val(q)]);
        return eb(eb.fn<number>("instr", [name, part]), ">", 0);
      });
    }
    return await query.execute();
  }

  async recordingsInState(states: readonly RecordingState[]): Promise<RecordingRecord[]> {
    const rows = await this.#db
      .selectFrom("recordings")
      .selectAll()
      .where("deleted_at_ms", "is", null)
      .where("state", "in", states)
      .orderBy("recording_id")
      .execute();
    return rows.flatMap((row) => this.#recordOf(row) ?? []);
  }

  async advanceRecording(
    recordingId: RecordingId,
    state: RecordingState,
    { atMs, reason }: { atMs: number; reason: string | null },
  ): Promise<RecordingRecord | undefined> {
    const lower = Object.entries(STATE_RANKS)
      .filter(([, rank]) => rank < STATE_RANKS[state])
      .map(([name]) => name);
    const times = state === "finalizing" ? { stopped_at_ms: atMs } : { finalized_at_ms: atMs };
    await this.#db
      .updateTable("recordings")
      .set({ state, reason, ...times })
      .where("recording_id", "=", recordingId)
      .where("deleted_at_ms", "is", null)
      .where("state", "in", lower)
      .execute();
    return this.findRecording(recordingId);
  }

  async markDeleted(recordingId: RecordingId, atMs: number): Promise<void> {
    await this.#db
      .updateTable("recordings")
      .set({ deleted_at_ms: atMs })
      .where("recording_id", "=", recordingId)
      .where("deleted_at_ms", "is", null)
      .execute();
  }

  async deletedNotPurged(): Promise<RecordingId[]> {
    const rows = await this.#db
      .selectFrom("recordings")
      .selectAll()
      .where("deleted_at_ms", "is not", null)
      .where("purged", "=", 0)
      .execute();
    return rows.flatMap((row) => {
      const record = this.#recordOf(row);
      // 0 stands for what cannot be read. It hides a recording, but may be damage and not a deletion:
      // that is no reason to remove files.
      return record !== undefined && record.deletedAtMs !== 0 ? record.recordingId : [];
    });
  }

  async markPurged(recordingId: RecordingId): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      await transaction
        .deleteFrom("finalize_jobs")
        .where("recording_id", "=", recordingId)
        .execute();
      await transaction.deleteFrom("export_jobs").where("recording_id", "=", recordingId).execute();
      await transaction.deleteFrom("tracks").where("recording_id", "=", recordingId).execute();
      await transaction
        .updateTable("recordings")
        .set({ purged: 1 })
        .where("recording_id", "=", recordingId)
        .execute();
    });
  }

  async addTracks(keys: readonly TrackKey[]): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      for (const { recordingId, participantId, trackId } of keys) {
        await transaction
          .insertInto("tracks")
          .values((eb) => ({
            recording_id: recordingId,
            participant_id: participantId,
            track_id: trackId,
            position: eb
              .selectFrom("tracks")
              .where("recording_id", "=", recordingId)
              .select(({ fn }) => fn.countAll<number>().as("position")),
            result: null,
          }))
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }
    });
  }

  async tracks(recordingId: RecordingId): Promise<TrackRecord[]> {
    const rows = await this.#db
      .selectFrom("tracks")
      .selectAll()
      .where("recording_id", "=", recordingId)
      .orderBy("position")
      .execute();
    const jobs = await this.jobs.jobs(recordingId);
    return rows.flatMap((row) => this.#trackOf(row, jobs) ?? []);
  }

  async track(key: TrackKey): Promise<TrackRecord | undefined> {
    const row = await this.#db
      .selectFrom("tracks")
      .selectAll()
      .where("recording_id", "=", key.recordingId)
      .where("participant_id", "=", key.participantId)
      .where("track_id", "=", key.trackId)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const job = await this.jobs.job(key);
    return this.#trackOf(row, job === undefined ? [] : [job]);
  }

  async saveTrackResult(
    { recordingId, participantId, trackId }: TrackKey,
    result: TrackResult,
  ): Promise<void> {
    await this.#db
      .updateTable("tracks")
      .set({ result: JSON.stringify(result) })
      .where("recording_id", "=", recordingId)
      .where("participant_id", "=", participantId)
      .where("track_id", "=", trackId)
      .execute();
  }

  #recordOf(row: RecordingsTable): RecordingRecord | undefined {
    return recordOf(row, this.#faults.of("recordings", row.recording_id));
  }

  #trackOf(row: TracksTable, jobs: readonly FinalizeJob[]): TrackRecord | undefined {
    const { recording_id, participant_id, track_id } = row;
    return trackRecordOf(
      row,
      jobs,
      this.#faults.of("tracks", recording_id, participant_id, track_id),
    );
  }
}
