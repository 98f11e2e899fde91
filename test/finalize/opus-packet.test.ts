import { describe, expect, test } from "bun:test";
import { opusPacketMs } from "../../src/finalize/opus-packet.ts";

describe("opusPacketMs", () => {
  test.each([
    ["the 20 ms of silence", [0xf8, 0xff, 0xfe], 20],
    ["SILK of 60 ms", [0b0001_1000, 1], 60],
    ["hybrid of 10 ms", [0b0110_0000, 1], 10],
    ["CELT of 2.5 ms", [0b1000_0000, 1], 2.5],
    ["two frames of the same size", [0b1111_1001, 1, 1], 40],
    ["two frames of different sizes", [0b1111_1010, 1, 1, 1], 40],
    ["three frames with a count", [0b1111_1011, 3, 1, 1, 1], 60],
    ["three frames with flags beside the count", [0b1111_1111, 0b1100_0011, 1, 1, 1], 60],
    ["no frame", [0b1111_1011, 0], undefined],
    ["more frames than a packet may have", [0b1111_1011, 63], undefined],
    ["a count that is cut off", [0b1111_1011], undefined],
    ["no byte", [], undefined],
  ])("%s", (_, bytes, expected) => {
    const framed = Uint8Array.from([9, ...bytes, 7]);
    expect(opusPacketMs(framed, 1, 1 + bytes.length)).toBe(expected);
  });
});
