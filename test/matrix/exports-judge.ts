import { rm } from "node:fs/promises";
import type { Recording } from "../../src/contract/recordings.ts";
import { type ExportedFile, exportedFiles } from "../support/exported-files.ts";
import type { RecordingsApi } from "../support/recordings-api.ts";
import type { ExportJudgement } from "./case-result.ts";
import { type Decoded, type ShownPicture, decodeFile } from "./decoded.ts";
import { type ExpectedPicture, aspectOf } from "./expectation.ts";
import { ASPECT_SHARE, type Wanted, fitted, judgeFile } from "./judge.ts";
import { type Area, WHOLE, numberIn } from "./signals.ts";
import { STEP_MS } from "./sources.ts";

/** What an export is judged by. */
export interface ExportBed {
  readonly wanted: Wanted;
  readonly directory: string;
  /** Whether the files stay in `directory`. */
  readonly isKept: boolean;
}

const EXPORT_TIMEOUT_MS = 180_000;
const COMPOSITE = { width: 640, height: 360 };
/** Around the tiles of a composite. */
const COMPOSITE_GAP = 2;
const COMPOSITE_LOOK = { width: 320, height: 180 };

/** Has every kind of export made of a recording of one track, and judges the files. */
export async function judgeExports(
  api: RecordingsApi,
  { recordingId }: Recording,
  { wanted, directory, isKept }: ExportBed,
): Promise<ExportJudgement[]> {
  const requests = [
    { kind: "aligned" },
    { kind: "compatible" },
    ...(wanted.sounds.length > 0 ? [{ kind: "audio" }] : []),
    { kind: "composite", height: COMPOSITE.height },
  ];
  const judgements: ExportJudgement[] = [];
  for (const request of requests) {
    judgements.push({
      kind: request.kind,
      findings: await judgeExport(api, recordingId, request, { wanted, directory, isKept }),
    });
  }
  return judgements;
}

async function judgeExport(
  api: RecordingsApi,
  recordingId: string,
  request: { readonly kind: string },
  { wanted, directory, isKept }: ExportBed,
): Promise<string[]> {
  let files: ExportedFile[];
  try {
    files = await exportedFiles(api, recordingId, request, {
      directory,
      timeoutMs: EXPORT_TIMEOUT_MS,
    });
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
  const findings: string[] = [];
  try {
    if (files.length === 0) findings.push("there is no file");
    for (const { path } of files) {
      const look = request.kind === "composite" ? COMPOSITE_LOOK : undefined;
      findings.push(...judgeExported(request.kind, wanted, await decodeFile(path, look)));
    }
  } finally {
    if (!isKept) await Promise.all(files.map(({ path }) => rm(path, { force: true })));
  }
  return findings;
}

function judgeExported(kind: string, wanted: Wanted, decoded: Decoded): string[] {
  // An export has channels and pictures of its own kind; only what is heard and seen is compared.
  const sound = { ...wanted, channelLevels: undefined };
  const isCopied = kind === "aligned";
  const judged = judgeFile(
    isCopied ? sound : { ...sound, pictures: [] },
    isCopied ? decoded : { ...decoded, pictures: [] },
  );
  const findings = [...judged.false, ...judged.missing];
  if (kind === "compatible") findings.push(...judgeRate(wanted.pictures, decoded, areasIn));
  if (kind === "composite") findings.push(...judgeRate(wanted.pictures, decoded, areasInTile));
  return findings;
}

type AreasOf = (picture: ShownPicture, aspects: readonly number[]) => readonly Area[];

/** Where pictures of some shapes can be in a frame that they are fitted into. */
const areasIn: AreasOf = (picture, aspects) => [
  WHOLE,
  ...aspects.map((aspect) => fitted(aspect, aspectOf(picture))),
];

/** The same in the only tile of a composite. */
const areasInTile: AreasOf = (_, aspects) => {
  const tile = {
    width: COMPOSITE.width - 2 * COMPOSITE_GAP,
    height: COMPOSITE.height - 2 * COMPOSITE_GAP,
  };
  const inTile = (area: Area): Area => ({
    x: (COMPOSITE_GAP + area.x * tile.width) / COMPOSITE.width,
    y: (COMPOSITE_GAP + area.y * tile.height) / COMPOSITE.height,
    width: (area.width * tile.width) / COMPOSITE.width,
    height: (area.height * tile.height) / COMPOSITE.height,
  });
  // Pictures that change their shape may have been fitted into another before.
  return aspects.flatMap((outer) => {
    const frame = fitted(outer, tile.width / tile.height);
    return aspects.map((inner) => inTile(within(fitted(inner, outer), frame)));
  });
};

function within(inner: Area, outer: Area): Area {
  return {
    x: outer.x + inner.x * outer.width,
    y: outer.y + inner.y * outer.height,
    width: inner.width * outer.width,
    height: inner.height * outer.height,
  };
}

/** A picture of the export may come so much before or after the one of the source. */
const RATE_TOLERANCE_MS = 45;
/** Pictures that stand still for longer are a gap: the export may show black in it. */
const STANDS_STILL_MS = 250;
/** At least this share of the pictures is shown: rates differ, and ends may be cut. */
const SHOWN_SHARE = 0.9;

/** Judges pictures at a constant rate: at each moment that of the source is shown, whole and upright. */
function judgeRate(
  pictures: readonly ExpectedPicture[],
  decoded: Decoded,
  areasOf: AreasOf,
): string[] {
  const expected = pictures.toSorted((a, b) => a.ms - b.ms);
  if (expected.length === 0) return [];
  const aspects = [...new Set(expected.map(({ aspect }) => aspect))];
  const seen = new Set<number>();
  const unread: number[] = [];
  const out: string[] = [];
  const squeezed: string[] = [];
  for (const picture of decoded.pictures) {
    const index = expected.findLastIndex(({ ms }) => ms <= picture.ms + 1);
    const due = expected[index];
    const nextMs = expected[index + 1]?.ms ?? (due?.ms ?? 0) + STEP_MS;
    if (due === undefined || !due.isRequired || nextMs - due.ms > STANDS_STILL_MS) continue;
    if (picture.ms >= nextMs) continue;
    const read = readIn(picture, areasOf(picture, aspects));
    const source = expected.find(({ number }) => number === read?.number);
    if (read === undefined || source === undefined) {
      // The first moment may still be black.
      if (picture.ms - (expected[0]?.ms ?? 0) > RATE_TOLERANCE_MS) unread.push(picture.ms);
      continue;
    }
    seen.add(source.number);
    const untilMs = expected[expected.indexOf(source) + 1]?.ms ?? Infinity;
    const lateMs =
      picture.ms < source.ms ? picture.ms - source.ms : Math.max(0, picture.ms - untilMs);
    if (Math.abs(lateMs) > RATE_TOLERANCE_MS) out.push(lateMs.toFixed(0));
    const aspect = (aspectOf(picture) * read.area.width) / read.area.height;
    if (Math.abs(aspect / source.aspect - 1) > ASPECT_SHARE) {
      squeezed.push(`${aspect.toFixed(2)} instead of ${source.aspect.toFixed(2)}`);
    }
  }
  const required = expected.filter(({ isRequired }) => isRequired);
  const shown = required.filter(({ number }) => seen.has(number)).length;
  const findings: string[] = [];
  if (unread.length > 1) {
    findings.push(
      `${unread.length} pictures are not readable, first at ${unread[0]?.toFixed(0)} ms`,
    );
  }
  if (out.length > 1) findings.push(`${out.length} pictures are out of time, by ${out[0]} ms`);
  if (squeezed.length > 1) findings.push(`${squeezed.length} are squeezed: ${squeezed[0]}`);
  if (shown < required.length * SHOWN_SHARE) {
    findings.push(`${required.length - shown} of ${required.length} pictures are missing`);
  }
  return findings;
}

function readIn(
  picture: ShownPicture,
  areas: readonly Area[],
): { number: number; area: Area } | undefined {
  for (const area of areas) {
    const number = numberIn(picture.look.pixels, picture.look, area);
    if (number !== undefined) return { number, area };
  }
  return undefined;
}
