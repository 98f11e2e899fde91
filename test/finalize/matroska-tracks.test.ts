import { expect, test } from "bun:test";
import { parseTracks } from "../../src/finalize/matroska-tracks.ts";
import type { PictureDisplay } from "../../src/finalize/picture-display.ts";

const PICTURE = 1;
const UPRIGHT = { rotation: 0, isMirrored: false } as const;
const SQUARE = { width: 1, height: 1 };

function element(id: number, data: Buffer): Buffer {
  const hex = id.toString(16);
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(data.length));
  size[0] = 1;
  return Buffer.concat([
    Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex"),
    size,
    data,
  ]);
}

function unsigned(id: number, value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeUInt32BE(value);
  return element(id, data);
}

function float(id: number, value: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeDoubleBE(value);
  return element(id, data);
}

/** Of a picture of 320x180 with these fields of its `Video` element. */
function displayOf(...fields: readonly Buffer[]): PictureDisplay | undefined {
  const video = [unsigned(0xb0, 320), unsigned(0xba, 180), ...fields];
  const entry = [unsigned(0xd7, 1), unsigned(0x83, PICTURE), element(0xe0, Buffer.concat(video))];
  return parseTracks(element(0xae, Buffer.concat(entry)))[0]?.display;
}

function posed(yaw: number, pitch: number, roll: number, type = 0): PictureDisplay | undefined {
  const pose = [float(0x7673, yaw), float(0x7674, pitch), float(0x7675, roll)];
  return displayOf(element(0x7670, Buffer.concat([unsigned(0x7671, type), ...pose])));
}

test("a picture without a word is shown as it is", () => {
  expect(displayOf()).toEqual({ ...UPRIGHT, pixelAspect: SQUARE });
});

test("the roll of a flat projection turns counterclockwise, after a yaw has mirrored", () => {
  const pixelAspect = SQUARE;
  expect(posed(0, 0, -90)).toEqual({ rotation: 90, isMirrored: false, pixelAspect });
  expect(posed(0, 0, 90)).toEqual({ rotation: 270, isMirrored: false, pixelAspect });
  expect(posed(0, 0, -180)).toEqual({ rotation: 180, isMirrored: false, pixelAspect });
  expect(posed(180, 0, 0)).toEqual({ rotation: 0, isMirrored: true, pixelAspect });
  expect(posed(-180, 0, 90)).toEqual({ rotation: 270, isMirrored: true, pixelAspect });
  expect(posed(0, 180, 0)).toEqual({ rotation: 180, isMirrored: true, pixelAspect });
  expect(posed(180, 180, 0)).toEqual({ rotation: 180, isMirrored: false, pixelAspect });
});

test("poses that are no turn, or of a sphere, are left alone", () => {
  for (const display of [posed(0, 0, Number.NaN), posed(Infinity, 0, 3), posed(0, 0, 90, 1)]) {
    expect({ ...UPRIGHT, ...display }).toEqual({ ...UPRIGHT, pixelAspect: SQUARE });
  }
});

test("the shape of pixels is that of the size that is shown, in any unit, without what is cropped", () => {
  const shown = (width: number, height: number, ...others: readonly Buffer[]) =>
    displayOf(unsigned(0x54b0, width), unsigned(0x54ba, height), ...others)?.pixelAspect;
  expect(shown(640, 180)).toEqual({ width: 2, height: 1 });
  expect(shown(4, 3, unsigned(0x54b2, 3))).toEqual({ width: 3, height: 4 });
  expect(shown(640, 180, unsigned(0x54b2, 4))).toEqual(SQUARE);
  expect(shown(320, 160, unsigned(0x54aa, 20))).toEqual(SQUARE);
  expect(displayOf(unsigned(0x54b0, 640))?.pixelAspect).toEqual({ width: 2, height: 1 });
});
