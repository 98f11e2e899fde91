import { describe, expect, test } from "bun:test";
import { EventEmitter } from "../../../client/recorder/event-emitter.ts";

describe("EventEmitter", () => {
  test("calls listeners in order until they are taken away", () => {
    const emitter = new EventEmitter<{ tick: number }>();
    const seen: string[] = [];
    const listener = (n: number) => seen.push(`a${n}`);
    const off = emitter.on("tick", listener);
    emitter.on("tick", listener);
    emitter.on("tick", (n) => seen.push(`b${n}`));
    emitter.emit("tick", 1);
    off();
    off();
    emitter.emit("tick", 2);
    expect(seen).toEqual(["a1", "a1", "b1", "a2", "b2"]);
  });

  test("lets a listener take itself away while it is called", () => {
    const emitter = new EventEmitter<{ tick: number }>();
    const seen: number[] = [];
    const off = emitter.on("tick", () => off());
    emitter.on("tick", (n) => seen.push(n));
    emitter.emit("tick", 1);
    expect(seen).toEqual([1]);
  });
});
