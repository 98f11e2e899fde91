import { type Kysely, sql } from "kysely";
import type { RecordingId } from "../contract/ids.ts";
import { FairTurns } from "../jobs/fair-turns.ts";
import type { Clock, FinalizeJob, JobQueue, TrackKey } from "../recording/ports.ts";
import { jobOf } from "./catalog-rows.ts";
import type { CatalogDatabase, FinalizeJobsTable } from "./catalog-schema.ts";
import type { RowFaults } from "./row-faults.ts";

/** The finalizations that are to be done, in the catalogue's database. */
export class SqliteJobQueue implements JobQueue {
  readonly #db: Kysely<CatalogDatabase>;
  readonly #clock: Clock;
  readonly #faults: RowFaults;
  /** Of running jobs: a crash begins them anew, so it need not be durable. */
  readonly #progress = new Map<string, number>();
  readonly #turns = new FairTurns<string>();

  constructor(db: Kysely<CatalogDatabase>, clock: Clock, faults: RowFaults) {
    this.#db = db;
    this.#clock = clock;
    this.#faults = faults;
  }

  async enqueue(key: TrackKey): Promise<void> {
    await this.#enqueue(this.#db, key);
  }

  async enqueueAll(keys: readonly TrackKey[]): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      for (const key of keys) await this.#enqueue(transaction, key);
    });
  }

  async #enqueue(
    db: Kysely<CatalogDatabase>,
    { recordingId, participantId, trackId }: TrackKey,
  ): Promise<void> {
    await db
      .insertInto("finalize_jobs")
      .values({
        recording_id: recordingId,
        participant_id: participantId,
        track_id: trackId,
        state: "queued",
        attempts: 0,
        error: null,
        again: 0,
        queued_at_ms: this.#clock.nowMs(),
      })
      .onConflict((conflict) =>
        conflict.columns(["recording_id", "participant_id", "track_id"]).doUpdateSet({
          again: sql<number>`case when finalize_jobs.state = 'running' then 1 else 0 end`,
          state: sql<string>`case when finalize_jobs.state = 'running' then 'running' else 'queued' end`,
          attempts: sql<number>`case when finalize_jobs.state in ('done', 'failed') then 0 else finalize_jobs.attempts end`,
          error: sql<
            string | null
          >`case when finalize_jobs.state in ('done', 'failed') then null else finalize_jobs.error end`,
          queued_at_ms: sql<number>`case when finalize_jobs.state in ('done', 'failed') then excluded.queued_at_ms else finalize_jobs.queued_at_ms end`,
        }),
      )
      .execute();
  }

  async take(): Promise<FinalizeJob | undefined> {
    for (;;) {
      const recordingId = this.#turns.next(await this.#waitingRecordings());
      if (recordingId === undefined) return undefined;
      const row = await this.#takeRow(recordingId);
      // Its jobs can have been removed meanwhile.
      if (row === undefined) continue;
      const job = this.#jobOf(row, 0);
      // One that nothing can name stays marked as running, so that the next one is taken.
      if (job === undefined) continue;
      this.#progress.delete(nameOf(job));
      return job;
    }
  }

  /** Those that have a queued job, the one whose job waits longest first. */
  async #waitingRecordings(): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("finalize_jobs")
      .select("recording_id")
      .where("state", "=", "queued")
      .groupBy("recording_id")
      .orderBy(({ fn }) => fn.min("queued_at_ms"))
      .orderBy("recording_id")
      .execute();
    return rows.map((row) => row.recording_id);
  }

  async #takeRow(recordingId: string): Promise<FinalizeJobsTable | undefined> {
    return await this.#db
      .updateTable("finalize_jobs")
      .set(({ eb }) => ({ state: "running", attempts: eb("attempts", "+", 1) }))
      .where((eb) =>
        eb(
          sql`rowid`,
          "=",
          eb
            .selectFrom("finalize_jobs")
            .where("state", "=", "queued")
            .where("recording_id", "=", recordingId)
            .orderBy("queued_at_ms")
            .orderBy(sql`rowid`)
            .select(sql<number>`rowid`.as("rowid"))
            .limit(1),
        ),
      )
      .returningAll()
      .executeTakeFirst();
  }

  reportProgress(key: TrackKey, progress: number): void {
    this.#progress.set(nameOf(key), progress);
  }

  async finish(
    key: TrackKey,
    outcome: { state: "done" } | { state: "failed"; error: string },
  ): Promise<"ended" | "again"> {
    this.#progress.delete(nameOf(key));
    const row = await this.#update(key)
      .set({
        state: sql<string>`case when again = 1 then 'queued' else ${outcome.state} end`,
        attempts: sql<number>`case when again = 1 then 0 else attempts end`,
        error: outcome.state === "failed" ? outcome.error : null,
        again: 0,
      })
      .returning("state")
      .executeTakeFirst();
    return row?.state === "queued" ? "again" : "ended";
  }

  async retry(key: TrackKey, error: string): Promise<void> {
    this.#progress.delete(nameOf(key));
    await this.#update(key).set({ state: "queued", again: 0, error }).execute();
  }

  async release(key: TrackKey): Promise<void> {
    this.#progress.delete(nameOf(key));
    await this.#update(key)
      .set(({ eb }) => ({ state: "queued", again: 0, attempts: eb("attempts", "-", 1) }))
      .execute();
  }

  async requeueInterrupted(): Promise<TrackKey[]> {
    const rows = await this.#db
      .updateTable("finalize_jobs")
      .set({ state: "queued", again: 0 })
      .where("state", "=", "running")
      .returningAll()
      .execute();
    return rows.flatMap((row) => {
      const job = this.#jobOf(row, 0);
      if (job === undefined) return [];
      const { recordingId, participantId, trackId } = job;
      return [{ recordingId, participantId, trackId }];
    });
  }

  async jobs(recordingId: RecordingId): Promise<FinalizeJob[]> {
    const rows = await this.#db
      .selectFrom("finalize_jobs")
      .selectAll()
      .where("recording_id", "=", recordingId)
      .execute();
    return rows.flatMap((row) => this.#jobOf(row, this.#progressOf(row)) ?? []);
  }

  /** The job of a track; undefined when it never had one. */
  async job(key: TrackKey): Promise<FinalizeJob | undefined> {
    const row = await this.#db
      .selectFrom("finalize_jobs")
      .selectAll()
      .where("recording_id", "=", key.recordingId)
      .where("participant_id", "=", key.participantId)
      .where("track_id", "=", key.trackId)
      .executeTakeFirst();
    return row === undefined ? undefined : this.#jobOf(row, this.#progressOf(row));
  }

  async hasOpenJobs(recordingId: RecordingId): Promise<boolean> {
    const row = await this.#db
      .selectFrom("finalize_jobs")
      .select("state")
      .where("recording_id", "=", recordingId)
      .where("state", "in", ["queued", "running"])
      .limit(1)
      .executeTakeFirst();
    return row !== undefined;
  }

  async removeJobs(recordingId: RecordingId): Promise<void> {
    await this.#db.deleteFrom("finalize_jobs").where("recording_id", "=", recordingId).execute();
  }

  #jobOf(row: FinalizeJobsTable, progress: number): FinalizeJob | undefined {
    const { recording_id, participant_id, track_id } = row;
    const report = this.#faults.of("finalize_jobs", recording_id, participant_id, track_id);
    return jobOf(row, progress, report);
  }

  #progressOf({ recording_id, participant_id, track_id }: FinalizeJobsTable): number {
    return this.#progress.get(JSON.stringify([recording_id, participant_id, track_id])) ?? 0;
  }

  #update({ recordingId, participantId, trackId }: TrackKey) {
    return this.#db
      .updateTable("finalize_jobs")
      .where("recording_id", "=", recordingId)
      .where("participant_id", "=", participantId)
      .where("track_id", "=", trackId);
  }
}

function nameOf({ recordingId, participantId, trackId }: TrackKey): string {
  return JSON.stringify([recordingId, participantId, trackId]);
}
