import { describe, expect, test } from "bun:test";
import { CONFIG_VARIABLES, ConfigError, readConfig } from "../src/config.ts";

test("an empty environment gives the defaults that the table of variables tells", () => {
  const config: Record<string, unknown> = readConfig({});
  expect(config).toMatchObject({ PORT: 3000, HOST: "127.0.0.1", RECORDINGS_DIR: "recordings" });
  expect(CONFIG_VARIABLES.map(({ name }) => name)).toEqual(Object.keys(config));
  for (const { name, default: text, meaning } of CONFIG_VARIABLES) {
    expect(String(config[name])).toBe(text);
    expect(meaning).toEndWith(".");
    // The unit of a limit is in its name.
    if (/^\d+$/.test(text) && name !== "PORT") {
      expect(name).toMatch(/_(BYTES|MS|GAPS|SEGMENTS|PARALLEL|ATTEMPTS)(_|$)/);
    }
  }
});

test("a variable that is set to nothing has its default", () => {
  expect(readConfig({ PORT: "", LOG_LEVEL: "" })).toEqual(readConfig({}));
});

test("values are read as what they are", () => {
  const config = readConfig({ PORT: "0", LOG_LEVEL: "debug", FFMPEG_PATH: "/opt/ffmpeg" });
  expect(config).toMatchObject({ PORT: 0, LOG_LEVEL: "debug", FFMPEG_PATH: "/opt/ffmpeg" });
});

test("allowed origins are those that browsers send", () => {
  const text =
    " https://app.example,http://10.0.0.7:8080, capacitor://localhost,https://app.example";
  expect(readConfig({ ALLOWED_ORIGINS: text }).ALLOWED_ORIGINS).toEqual([
    "https://app.example",
    "http://10.0.0.7:8080",
    "capacitor://localhost",
  ]);
});

test("the configuration cannot be changed", () => {
  expect(Object.isFrozen(readConfig({}))).toBe(true);
});

const withAccessKey = () => readConfig({ ACCESS_KEY: "swordfish" });

describe("refused in one line that names variable, value and what is allowed is", () => {
  test.each([
    ["PORT", "abc", "from 0 to 65535"],
    ["PORT", "65536", "from 0 to 65535"],
    ["PORT", "0x10", "from 0 to 65535"],
    ["PORT", " 1", "from 0 to 65535"],
    // A timer could be so long, but not with what is added to it.
    ["SHUTDOWN_TIMEOUT_MS", "2147483647", "from 0 to 2073600000"],
    ["HOST", "0.0.0.0", "no access keys yet"],
    ["HOST", "192.168.1.5", "no access keys yet"],
    ["LOG_LEVEL", "loud", "one of trace"],
    ["RECORDINGS_DIR", "a\u0000b", "a path"],
    ["CHUNK_BYTES_MAX", "-1", "a whole number from 1"],
    ["STOP_GRACE_MS", "10s", "a whole number from 0"],
    ["REQUEST_BYTES_MAX", "1000", "1.5 times CHUNK_BYTES_MAX"],
    ["SEGMENT_PENDING_BYTES_MAX", "1000", "at least CHUNK_BYTES_MAX"],
    ["TOTAL_PENDING_BYTES_MAX", "1000", "at least SEGMENT_PENDING_BYTES_MAX"],
    ["TOTAL_REQUEST_BYTES_MAX", "1000", "at least REQUEST_BYTES_MAX"],
    ["STOP_WAIT_MS_MAX", "1", "at least STOP_GRACE_MS"],
    ["ALLOWED_ORIGINS", "https://app.example/", 'browsers send "https://app.example", without'],
    ["ALLOWED_ORIGINS", "https://app.example/call", 'browsers send "https://app.example", without'],
    ["ALLOWED_ORIGINS", "https://App.example:443", 'browsers send "https://app.example", without'],
    ["ALLOWED_ORIGINS", "https://a.example,*", "* would let every web site"],
    ["ALLOWED_ORIGINS", "https://*.example", "each origin has to be named"],
    ["ALLOWED_ORIGINS", "null", "pages of any origin can send"],
    ["ALLOWED_ORIGINS", "https://a.example,", "one of them is empty"],
    ["ALLOWED_ORIGINS", "app.example", "does not begin with a scheme"],
    ["ALLOWED_ORIGINS", "https:app.example", "does not begin with a scheme"],
    ["ALLOWED_ORIGINS", "https://me@app.example", "a user name"],
    ["ALLOWED_ORIGINS", "https://app.example:99999", "is not a URL"],
    ["ALLOWED_ORIGINS", "https://a.example https://b.example", "is not a URL"],
  ])("%s=%p", (name, value, allowed) => {
    const act = () => readConfig({ [name]: value });
    expect(act).toThrow(ConfigError);
    expect(act).toThrow(`${name}=${JSON.stringify(value)}: ${name} must be `);
    expect(act).toThrow(allowed);
    expect(act).not.toThrow("\n");
  });

  test("ACCESS_KEY, without showing it", () => {
    expect(withAccessKey).toThrow("would not protect anything");
    expect(withAccessKey).not.toThrow("swordfish");
  });
});
