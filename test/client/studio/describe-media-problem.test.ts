import { describe, expect, test } from "bun:test";
import {
  describeMediaProblem,
  describeMissingAbility,
} from "../../../client/studio/describe-media-problem.ts";

const named = (name: string, message = "") => ({ name, message });

describe("describeMediaProblem", () => {
  test("a refused permission names the devices and where to allow them", () => {
    const sentence = describeMediaProblem(named("NotAllowedError"), "camera-and-microphone");
    expect(sentence).toStartWith(
      "The browser does not let this page use the camera and microphone.",
    );
    expect(sentence).toContain("Allow both for this site");
  });

  test("a cancelled screen share says how to be asked again", () => {
    expect(describeMediaProblem(named("NotAllowedError"), "screen")).toContain(
      "Press Share screen to be asked again",
    );
  });

  test("a missing device asks to connect or choose one", () => {
    expect(describeMediaProblem(named("NotFoundError"), "microphone")).toBe(
      "No microphone was found. Connect one, or choose another device, then try again.",
    );
  });

  test("a busy device asks to close what uses it", () => {
    expect(describeMediaProblem(named("NotReadableError"), "camera")).toBe(
      "The camera is busy: another program or tab may be using it. Close it, then try again.",
    );
  });

  test("a device that is gone asks for another one", () => {
    expect(describeMediaProblem(named("OverconstrainedError"), "camera")).toContain(
      "Choose another device",
    );
  });

  test("anything else keeps the browser's own words, or its name where it has none", () => {
    expect(describeMediaProblem(named("AbortError", "Starting failed"), "camera")).toContain(
      "(Starting failed)",
    );
    expect(describeMediaProblem(named("OddError"), "camera")).toContain("(OddError)");
  });
});

describe("describeMissingAbility", () => {
  const able = { isSecureContext: true, hasMediaDevices: true, hasMediaRecorder: true };

  test("says nothing where everything is there", () => {
    expect(describeMissingAbility(able, "http://localhost:3000")).toBeNull();
  });

  test("an insecure address comes before what is missing because of it", () => {
    const abilities = { ...able, isSecureContext: false, hasMediaDevices: false };
    const sentence = describeMissingAbility(abilities, "http://192.168.1.4:3000");
    expect(sentence).toContain("https://");
    expect(sentence).toContain("http://192.168.1.4:3000");
  });

  test("a browser without MediaRecorder is told which ones have it", () => {
    expect(describeMissingAbility({ ...able, hasMediaRecorder: false }, "")).toContain(
      "Use a current Chrome, Edge, Firefox or Safari",
    );
  });
});
