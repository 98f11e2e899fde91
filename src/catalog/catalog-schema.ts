import type { Kysely, Migration } from "kysely";

/** One row of `recordings`. Times are milliseconds since the epoch. */
export interface RecordingsTable {
  recording_id: string;
  name: string | null;
  /** JSON object. */
  metadata: string;
  state: string;
  reason: string | null;
  started_at_ms: number;
  stopped_at_ms: number | null;
  finalized_at_ms: number | null;
  deleted_at_ms: number | null;
  /** 1 when the files of a deleted recording are gone. */
  purged: number;
}

/** One row of `tracks`. */
export interface TracksTable {
  recording_id: string;
  participant_id: string;
  track_id: string;
  /** Order of addition within the recording. */
  position: number;
  /** JSON of a `TrackResult`; null before the first finalization. */
  result: string | null;
}

/** One row of `finalize_jobs`. */
export interface FinalizeJobsTable {
  recording_id: string;
  participant_id: string;
  track_id: string;
  state: string;
  attempts: number;
  error: string | null;
  /** 1 when it was asked for while it ran. */
  again: number;
  queued_at_ms: number;
}

/** One row of `export_jobs`. */
export interface ExportJobsTable {
  export_id: string;
  recording_id: string;
  /** JSON of an `ExportRequest`. */
  request: string;
  state: string;
  attempts: number;
  reason: string | null;
  /** JSON of the `PublishedFile`s and `ExportSource`s; empty lists before it is done. */
  files: string;
  sources: string;
  created_at_ms: number;
  queued_at_ms: number;
  ended_at_ms: number | null;
  /** 1 when it was deleted, but its files may still be there. */
  removed: number;
}

/** The tables of the catalogue. */
export interface CatalogDatabase {
  recordings: RecordingsTable;
  tracks: TracksTable;
  finalize_jobs: FinalizeJobsTable;
  export_jobs: ExportJobsTable;
}

/** Steps from an empty database to the present schema, in order of name. Never edit a released one. */
export const catalogMigrations: Record<string, Migration> = {
  "0001-recordings-tracks-jobs": {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema
        .createTable("recordings")
        .addColumn("recording_id", "text", (column) => column.primaryKey())
        .addColumn("name", "text")
        .addColumn("metadata", "text", (column) => column.notNull())
        .addColumn("state", "text", (column) => column.notNull())
        .addColumn("reason", "text")
        .addColumn("started_at_ms", "bigint", (column) => column.notNull())
        .addColumn("stopped_at_ms", "bigint")
        .addColumn("finalized_at_ms", "bigint")
        .addColumn("deleted_at_ms", "bigint")
        .addColumn("purged", "integer", (column) => column.notNull().defaultTo(0))
        .execute();
      await db.schema
        .createIndex("recordings_by_state")
        .on("recordings")
        .columns(["state", "recording_id"])
        .execute();
      await db.schema
        .createTable("tracks")
        .addColumn("recording_id", "text", (column) =>
          column.notNull().references("recordings.recording_id"),
        )
        .addColumn("participant_id", "text", (column) => column.notNull())
        .addColumn("track_id", "text", (column) => column.notNull())
        .addColumn("position", "integer", (column) => column.notNull())
        .addColumn("result", "text")
        .addPrimaryKeyConstraint("tracks_key", ["recording_id", "participant_id", "track_id"])
        .execute();
      await db.schema
        .createTable("finalize_jobs")
        .addColumn("recording_id", "text", (column) =>
          column.notNull().references("recordings.recording_id"),
        )
        .addColumn("participant_id", "text", (column) => column.notNull())
        .addColumn("track_id", "text", (column) => column.notNull())
        .addColumn("state", "text", (column) => column.notNull())
        .addColumn("attempts", "integer", (column) => column.notNull())
        .addColumn("error", "text")
        .addColumn("again", "integer", (column) => column.notNull())
        .addColumn("queued_at_ms", "bigint", (column) => column.notNull())
        .addPrimaryKeyConstraint("finalize_jobs_key", [
          "recording_id",
          "participant_id",
          "track_id",
        ])
        .execute();
      await db.schema
        .createIndex("finalize_jobs_by_state")
        .on("finalize_jobs")
        .columns(["state", "queued_at_ms"])
        .execute();
    },
  },
  "0002-exports": {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema
        .createTable("export_jobs")
        .addColumn("export_id", "text", (column) => column.primaryKey())
        .addColumn("recording_id", "text", (column) =>
          column.notNull().references("recordings.recording_id"),
        )
        .addColumn("request", "text", (column) => column.notNull())
        .addColumn("state", "text", (column) => column.notNull())
        .addColumn("attempts", "integer", (column) => column.notNull())
        .addColumn("reason", "text")
        .addColumn("files", "text", (column) => column.notNull())
        .addColumn("sources", "text", (column) => column.notNull())
        .addColumn("created_at_ms", "bigint", (column) => column.notNull())
        .addColumn("queued_at_ms", "bigint", (column) => column.notNull())
        .addColumn("ended_at_ms", "bigint")
        .addColumn("removed", "integer", (column) => column.notNull())
        .execute();
      await db.schema
        .createIndex("export_jobs_by_recording")
        .on("export_jobs")
        .columns(["recording_id", "export_id"])
        .execute();
      await db.schema
        .createIndex("export_jobs_by_state")
        .on("export_jobs")
        .columns(["state", "queued_at_ms"])
        .execute();
    },
  },
};
