import { expect } from "bun:test";
import { join } from "node:path";
import type { Gap } from "../../src/contract/timeline.ts";
import { type ExportedFile, exportedFiles } from "./exported-files.ts";
import { type FieldSegment, type FieldTrack, recordField } from "./field-input.ts";
import { complaintsAbout } from "./judge-ffmpeg.ts";
import { RecordingsApi } from "./recordings-api.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import { startServer } from "./track-capture-server.ts";

/** How long an export of one of these inputs may take on a busy machine. */
const EXPORT_TIMEOUT_MS = 90_000;

/** A track with its MP4 on this side. */
export interface Delivered extends FieldTrack {
  readonly path: string;
  readonly media: NonNullable<FieldTrack["track"]["media"]>;
  readonly gaps: readonly Gap[];
}

/** A kind of export with its options. */
export interface ExportAsked {
  readonly kind: string;
  readonly [option: string]: unknown;
}

/** Every kind of export, in every form. */
const EVERY_EXPORT: readonly ExportAsked[] = [
  { kind: "compatible" },
  { kind: "audio" },
  { kind: "aligned" },
  { kind: "aligned", padding: "media" },
  { kind: "composite", height: 360 },
];

/** The real server, and what it makes of inputs. */
export class FieldBed implements AsyncDisposable {
  readonly #api: RecordingsApi;
  readonly #directory: string;
  readonly #parts: AsyncDisposableStack;

  private constructor(api: RecordingsApi, directory: string, parts: AsyncDisposableStack) {
    this.#api = api;
    this.#directory = directory;
    this.#parts = parts;
  }

  static async open(): Promise<FieldBed> {
    await using parts = new AsyncDisposableStack();
    const directory = parts.use(await temporaryDirectory());
    const server = parts.use(await startServer());
    return new FieldBed(new RecordingsApi(server.url), directory.path, parts.move());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#parts.disposeAsync();
  }

  /** Records inputs as the segments of one track and downloads its MP4; throws when there is none. */
  async deliver(...segments: readonly FieldSegment[]): Promise<Delivered> {
    const made = await recordField(this.#api, ...segments);
    const { media, timeline } = made.track;
    if (media === null || timeline === null) throw new Error(`No MP4: ${made.track.reason}`);
    const path = join(this.#directory, `${Bun.randomUUIDv7()}.mp4`);
    await this.#api.download(this.#api.trackUrl(made.name, "media.mp4"), path);
    return { ...made, path, media, gaps: timeline.gaps };
  }

  /** The files of an export. Expects that each decodes without a complaint. */
  async exported({ name }: Delivered, request: ExportAsked): Promise<ExportedFile[]> {
    const options = { directory: this.#directory, timeoutMs: EXPORT_TIMEOUT_MS };
    const files = await exportedFiles(this.#api, name.recordingId, request, options);
    expect(files.length).toBeGreaterThan(0);
    for (const { path } of files) expect(await complaintsAbout(path)).toEqual([]);
    return files;
  }

  /** The first file of an export, as `exported` gives it. */
  async exportedFile(made: Delivered, request: ExportAsked): Promise<ExportedFile> {
    const [file] = await this.exported(made, request);
    if (file === undefined) throw new Error(`${request.kind} gave no file`);
    return file;
  }

  /** Expects that every kind of export can be made. */
  async expectAllExports(made: Delivered): Promise<void> {
    for (const request of EVERY_EXPORT) await this.exported(made, request);
  }
}

/** Expects the verdict `complete`, and that the MP4 decodes without a complaint. */
export async function expectComplete({ track, path }: Delivered): Promise<void> {
  expect(track).toMatchObject({ verdict: "complete" });
  expect(await complaintsAbout(path)).toEqual([]);
}
