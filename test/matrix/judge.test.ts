import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { caseNamed, chooseCases } from "./cases.ts";
import { decodeFile } from "./decoded.ts";
import { wantedOf } from "./deliveries.ts";
import { expectationOf } from "./expectation.ts";
import { type Findings, type Wanted, judgeFile, outcomeOf } from "./judge.ts";
import { CAN_MAKE_SOURCES, testWithSources } from "./source-tools.ts";
import { type MadeSource, SourceMaker } from "./sources.ts";

let directory: TemporaryDirectory | undefined;
let source: MadeSource;
let wanted: Wanted;

beforeAll(async () => {
  if (!CAN_MAKE_SOURCES) return;
  directory = await temporaryDirectory();
  const { source: spec } = caseNamed("h264_plain_pcm-2-48k_mkv-live_t0_whole");
  source = await new SourceMaker(scratchPath()).make(spec, 1);
  const expectation = await expectationOf(source);
  expect(expectation.doubts).toEqual([]);
  wanted = await wantedOf(source, expectation, "whole");
}, 30_000);

afterAll(() => directory?.[Symbol.asyncDispose]());

function scratchPath(): string {
  if (directory === undefined) throw new Error("There is no directory yet");
  return directory.path;
}

/** An MP4 of the source, made by ffmpeg with these options before and behind its second input. */
async function judged(
  name: string,
  { before = "", options = "" }: { readonly before?: string; readonly options?: string },
): Promise<Findings> {
  const path = join(scratchPath(), `${name}.mp4`);
  const args = `-v error -y -i ${source.path} ${before} -i ${source.path} -map 0:v -map 1:a`;
  const encoding = "-c:v copy -c:a aac -b:a 160k";
  const all = [...args.split(" "), ...encoding.split(" "), ...options.split(" "), path];
  const child = Bun.spawn(["ffmpeg", ...all.filter((arg) => arg !== "")], { stderr: "pipe" });
  expect(await new Response(child.stderr).text()).toBe("");
  return judgeFile(wanted, await decodeFile(path));
}

const complete = { verdict: "complete", reason: null } as const;
const degraded = { verdict: "degraded", reason: "Something is missing." } as const;

testWithSources(
  "an MP4 that holds all is right, and one that is said to lack something is not",
  async () => {
    const findings = await judged("whole", {});
    expect(findings).toMatchObject({ missing: [], false: [] });
    expect(outcomeOf(complete, findings, { isLossy: false })).toBe("right");
    expect(outcomeOf(degraded, findings, { isLossy: false })).toBe("wrong");
    expect(outcomeOf(degraded, findings, { isLossy: true })).toBe("degraded");
    expect(outcomeOf(complete, findings, { isLossy: true })).toBe("wrong");
    expect(outcomeOf(complete, undefined, { isLossy: false })).toBe("failed");
  },
);

testWithSources.each([
  ["negative composition offsets", "h264-b_plain_aac-2-44k_mp4-frag-cmaf_t0_whole", 23.2],
  ["negative composition offsets an hour late", "h264-b_plain_opus-2_mp4-frag-cmaf_t1h_whole", 6.5],
  ["priming before the begin of an edit", "h264-10bit_plain_aac-1-8k_mp4-frag-delay_t0_whole", 0],
])("of fragments with %s times are those of the index", async (_, name, soundLateMs) => {
  const { source: spec } = caseNamed(name);
  const made = await new SourceMaker(scratchPath()).make(spec, 1);
  const { pictures, sounds } = await expectationOf(made);
  expect(pictures).toHaveLength(75);
  for (const { number, ms } of pictures) {
    expect(Math.abs(ms - (number - (pictures[0]?.number ?? 0)) * 40)).toBeLessThan(1);
  }
  for (const { ms, contentMs } of sounds) {
    expect(Math.abs(ms - contentMs - soundLateMs)).toBeLessThan(4);
  }
  expect(sounds).not.toHaveLength(0);
});

testWithSources(
  "pictures that an edit list hides are not required, and nothing begins with them",
  async () => {
    const { source: spec } = caseNamed("av1-svt_plain_aac-2-48k_mp4-edit_t0_whole");
    const made = await new SourceMaker(scratchPath()).make(spec, 1);
    const { pictures, sounds, durationMs } = await expectationOf(made);
    const required = pictures.filter(({ isRequired }) => isRequired);
    expect(required).toHaveLength(62);
    expect(required[0]?.ms).toBeCloseTo(0, 0);
    expect(sounds).toHaveLength(9);
    expect(Math.abs(durationMs - 2_480)).toBeLessThan(40);
  },
);

describe("a file that is called complete is wrong when", () => {
  const again = "-c:v libx264 -preset ultrafast -bf 0 -vsync passthrough";
  testWithSources.each([
    [
      "a picture is dropped",
      { options: `${again} -vf select=not(eq(n\\,30))` },
      "1 of 75 pictures",
    ],
    ["the last picture is dropped", { options: "-frames:v 74" }, "1 of 75 pictures"],
    ["a picture is shown twice", { options: `${again} -vf loop=1:1:30` }, "shown twice"],
    ["its sound is 100 ms late", { before: "-itsoffset 0.1" }, "sound are out of time, by 99 ms"],
    ["its sound is 100 ms early", { before: "-ss 0.1" }, "sound are out of time, by -100 ms"],
    ["its pictures drift", { options: `${again} -vf setpts=PTS*1.05` }, "pictures are out of time"],
    ["it is turned by 90 degrees", { options: "-metadata:s:v:0 rotate=90" }, "not upright"],
    ["it is upside down", { options: `${again} -vf hflip,vflip` }, "upside down"],
    ["it is mirrored", { options: `${again} -vf hflip` }, "mirrored"],
    ["it is squeezed by its pixels", { options: "-aspect 2:1" }, "squeezed"],
    ["it is squeezed by its size", { options: `${again} -vf scale=80:96,setsar=1` }, "squeezed"],
    ["it has bars", { options: `${again} -vf pad=160:160:0:32,scale=160:96,setsar=1` }, "pictures"],
    ["its pictures are smaller", { options: `${again} -vf scale=80:48` }, "smaller"],
    ["there is silence for its sound", { options: "-af volume=0" }, "12 times 250 ms of sound"],
    [
      "a second of its sound is silent",
      { options: "-af volume=0:enable='between(t,1,2)'" },
      "sound",
    ],
    ["its sound is half as loud", { options: "-af volume=0.5" }, "as loud"],
    ["its sound has one channel", { options: "-ac 1" }, "1 channels instead of 2"],
    ["its channels are swapped", { options: "-af pan=stereo|c0=c1|c1=c0" }, "channel"],
    ["its sound is missing", { options: "-an" }, "the sound is missing"],
    ["its pictures are missing", { options: "-vn" }, "75 of 75 pictures are missing"],
  ])("%s", async (name, change, finding) => {
    const findings = await judged(name.replaceAll(" ", "-"), change);
    expect([...findings.false, ...findings.missing].join("; ")).toContain(finding);
    expect(outcomeOf(complete, findings, { isLossy: false })).toBe("wrong");
  });
});

test("every value of an axis meets every other in a case, as far as both can be in one", () => {
  const cases = chooseCases(600, 1);
  expect(cases.length).toBeGreaterThanOrEqual(600);
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  expect(chooseCases(600, 1)).toEqual(cases);
  expect(cases.map(({ name }) => caseNamed(name))).toEqual(cases);
  const met = new Set(
    cases.flatMap(({ source: { video, shape, sound, container } }) => [
      `${video} ${sound}`,
      `${video} ${container}`,
      `${sound} ${container}`,
      `${video} ${shape}`,
    ]),
  );
  expect(met).toContain("vp9-10bit aac-6-48k");
  expect(met).toContain("hevc mp4-frag-negcts");
  expect(met).toContain("mp3-1-16k mkv-xiph");
  expect(met).toContain("av1-svt rot270");
});
