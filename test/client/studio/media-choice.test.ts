import { describe, expect, test } from "bun:test";
import {
  deviceOptions,
  keptChoice,
  mediaConstraints,
  NO_DEVICE,
  trackIdOf,
} from "../../../client/studio/media-choice.ts";

const camera = (deviceId: string, label: string) => ({ deviceId, label, kind: "videoinput" });

describe("deviceOptions", () => {
  test("lists the devices of the kind by name, and none last", () => {
    const devices = [
      camera("a", "Webcam"),
      { deviceId: "m", label: "Headset", kind: "audioinput" },
      camera("b", ""),
    ];
    expect(deviceOptions(devices, "videoinput")).toEqual([
      { value: "a", label: "Webcam" },
      { value: "b", label: "Camera 2" },
      { value: NO_DEVICE, label: "No camera (sound only)" },
    ]);
  });

  test("before permission, nameless devices become one default", () => {
    expect(deviceOptions([camera("", ""), camera("", "")], "videoinput")).toEqual([
      { value: "", label: "Default camera" },
      { value: NO_DEVICE, label: "No camera (sound only)" },
    ]);
  });

  test("without any device says that there is none", () => {
    expect(deviceOptions([], "audioinput")).toEqual([
      { value: NO_DEVICE, label: "No microphone found" },
    ]);
  });
});

describe("keptChoice", () => {
  const options = deviceOptions([camera("a", "A"), camera("b", "B")], "videoinput");

  test("keeps what is still there, none included", () => {
    expect(keptChoice(options, "b")).toBe("b");
    expect(keptChoice(options, NO_DEVICE)).toBe(NO_DEVICE);
  });

  test("takes the first when the chosen device is gone", () => {
    expect(keptChoice(options, "unplugged")).toBe("a");
    expect(keptChoice(options, null)).toBe("a");
  });
});

describe("mediaConstraints", () => {
  test("asks for exactly the chosen devices", () => {
    const constraints = mediaConstraints({ camera: "a", microphone: "m" });
    expect(constraints).toMatchObject({
      video: { deviceId: { exact: "a" } },
      audio: { deviceId: { exact: "m" } },
    });
  });

  test("leaves a default device to the browser", () => {
    const constraints = mediaConstraints({ camera: "", microphone: "" });
    expect(constraints?.video).not.toHaveProperty("deviceId");
    expect(constraints?.audio).not.toHaveProperty("deviceId");
  });

  test("asks for no picture when the camera is off, and for nothing when both are", () => {
    expect(mediaConstraints({ camera: NO_DEVICE, microphone: "m" })?.video).toBe(false);
    expect(mediaConstraints({ camera: NO_DEVICE, microphone: NO_DEVICE })).toBeNull();
  });
});

test("sound alone is recorded as a microphone, a picture as a camera", () => {
  expect(trackIdOf({ camera: NO_DEVICE, microphone: "m" })).toBe("microphone");
  expect(trackIdOf({ camera: "a", microphone: NO_DEVICE })).toBe("camera");
});
