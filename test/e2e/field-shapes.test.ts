import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { FieldBed, expectComplete } from "../support/field-bed.ts";
import { fieldPath } from "../support/field-input.ts";
import {
  type ShownPicture,
  type ShownSize,
  likeness,
  shownAt,
  shownPictures,
} from "../support/shown-pictures.ts";

/** Of pictures that were encoded anew, small, or with a name on them. */
const ALIKE_MIN = 0.8;

const TEST_TIMEOUT_MS = 180_000;

let bed: FieldBed;

beforeAll(async () => {
  bed = await FieldBed.open();
});

afterAll(() => bed[Symbol.asyncDispose]());

function sizeAt(pictures: readonly ShownPicture[], timeMs: number): ShownSize {
  const { width, height } = shownAt(pictures, timeMs);
  return { width, height };
}

/** Expects the picture of `path` at a time to be that of an input at another. */
async function expectLike(
  path: string,
  atMs: number,
  { file }: { readonly file: string },
  wantedAtMs: number,
): Promise<void> {
  const shown = shownAt(await shownPictures(path), atMs);
  const wanted = shownAt(await shownPictures(fieldPath(file)), wantedAtMs);
  expect(likeness(shown, wanted)).toBeGreaterThan(ALIKE_MIN);
}

describe("a picture that is turned", () => {
  const turned = { file: "rotated-90.mp4", mimeType: "video/mp4" } as const;
  const upright = { file: "not-rotated.mp4", mimeType: "video/mp4" } as const;

  test(
    "is upright in the MP4 and in every export",
    async () => {
      const made = await bed.deliver({ ...turned, capturedAfterMs: 0 });
      await expectComplete(made);
      expect(sizeAt(await shownPictures(made.path), 0)).toEqual({ width: 360, height: 640 });
      await expectLike(made.path, 1_000, turned, 1_000);
      const compatible = await bed.exportedFile(made, { kind: "compatible" });
      const pictures = await shownPictures(compatible.path);
      expect(sizeAt(pictures, 0)).toEqual({ width: 360, height: 640 });
      await expectLike(compatible.path, 1_000, turned, 1_000);
      for (const request of [
        { kind: "aligned" },
        { kind: "aligned", padding: "media" },
        { kind: "composite" },
      ]) {
        const { path } = await bed.exportedFile(made, request);
        await expectLike(path, 1_000, turned, 1_000);
      }
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "is upright with a pause",
    async () => {
      const made = await bed.deliver({ ...turned, isPaused: true });
      await expectComplete(made);
      await expectLike(made.path, 1_000, turned, 1_000);
      await expectLike(made.path, 4_500, turned, 3_500);
      const aligned = await bed.exportedFile(made, { kind: "aligned" });
      await expectLike(aligned.path, 4_500, turned, 3_500);
    },
    TEST_TIMEOUT_MS,
  );

  test.each([
    ["one that is not turned", turned, upright],
    ["one that is turned", upright, turned],
    ["itself", turned, turned],
  ])(
    "is upright when joined to %s",
    async (_, first, second) => {
      const made = await bed.deliver(first, second);
      await expectComplete(made);
      const { path } = await bed.exportedFile(made, { kind: "compatible" });
      for (const file of [made.path, path]) {
        await expectLike(file, 1_000, first, 1_000);
        // Segments without times stand one behind the other.
        await expectLike(file, 5_030, second, 1_000);
      }
    },
    TEST_TIMEOUT_MS,
  );
});

test(
  "a picture whose pixels are twice as wide as high keeps its shape in every export",
  async () => {
    const made = await bed.deliver({ file: "sar-2x1.mp4", mimeType: "video/mp4" });
    await expectComplete(made);
    const wanted = shownAt(await shownPictures(fieldPath("sar-2x1.mp4")), 1_000);
    const compatible = await bed.exportedFile(made, { kind: "compatible" });
    expect(sizeAt(await shownPictures(compatible.path), 1_000)).toEqual({
      width: 640,
      height: 180,
    });
    const composite = await bed.exportedFile(made, { kind: "composite" });
    for (const { path } of [made, compatible, composite]) {
      const shown = shownAt(await shownPictures(path), 1_000);
      expect(likeness(shown, wanted)).toBeGreaterThan(ALIKE_MIN);
    }
  },
  TEST_TIMEOUT_MS,
);
