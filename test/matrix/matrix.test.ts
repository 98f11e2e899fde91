import { beforeAll, expect } from "bun:test";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import type { CaseResult, Outcome } from "./case-result.ts";
import { caseNamed } from "./cases.ts";
import { runAll } from "./run-all.ts";
import { CAN_MAKE_SOURCES, testWithSources } from "./source-tools.ts";

/** Chosen of the matrix so that each value of its axes is met, in tests that take less than a minute. */
const CHOSEN = [
  "h264_plain_opus-2_mkv-live_t0_pieces",
  "h264_rot90_aac-2-44k_mp4_t0_whole",
  "h264_rot270_opus-2_mp4-frag-key_late-sound_pause",
  "h264_rot180_aac-2-48k_mp4-frag-dash_t0_whole",
  "h264_sar2x1_aac-1-8k_mp4-frag-delay_t0_pause",
  "h264_plain_aac-1-16k_mp4_t-1s_pieces",
  "h264-b_plain_aac-2-48k_mp4-frag-negcts_t0_twice",
  "h264-b_plain_aac-2-44k_mp4-edit_t0_whole",
  "h264-b_rot90_none_mp4-faststart_t0_joined_h264_plain_none_mp4_t0",
  "h264-open-gop_sar3x4_flac-2-48k_mkv-file_t0_whole",
  "h264-open-gop_plain_mp3-2-44k_mkv-xiph_late-picture_whole",
  "h264-slices_vfr_opus-1_mkv-ebml_t0_pieces",
  "h264-slices_rot180_mp3-1-16k_mp4-frag-key_t0_pause",
  "h264-tff_plain_opus-2_mp4-frag-time_t1h_whole",
  "h264-bff_plain_vorbis-2-44k_mkv-groups_t0_whole",
  "h264-10bit_plain_opus-6_mp4-frag-cmaf_t0_whole",
  "h264-444_odd_flac-1-16k_mp4-frag-omit_t0_whole",
  "h264-annexb3_plain_opus-2_mkv-live_t0_pieces",
  "h264-annexb3_sar2x1_aac-6-48k_mkv-crc_t0_pause",
  "h264-annexb4_vfr_mp3-1-16k_mkv-groups_t1h_whole",
  "hevc_plain_opus-2_mkv-file_t0_pieces",
  "hevc_rot180_aac-2-48k_mp4-frag-every_t0_whole",
  "hevc-10bit_plain_pcm-1-8k_mkv-fixed_late-sound_whole",
  "vp8_plain_opus-2_webm-unknown_t0_pieces",
  "vp8_odd_vorbis-1-16k_webm-file_t0_whole",
  "vp8_sar2x1_opus-2_webm-live_t0_pause",
  "vp8-alpha_plain_opus-1_webm-unknown_t0_whole",
  "vp8-altref_plain_none_webm-live_t0_pieces",
  "vp9_plain_opus-2_mkv-crc_t0_lost",
  "vp9_rot90_opus-2_mp4-frag-key_t0_joined_vp9_plain_opus-2_webm-unknown_t0",
  "vp9-alpha_plain_vorbis-2-44k_webm-live_t0_whole",
  "vp9-altref_plain_opus-2_webm-unknown_t1h_twice",
  "vp9-split_plain_opus-2_webm-live_t0_pieces",
  "vp9-10bit_sar3x4_pcm-2-48k_mkv-ebml_t0_whole",
  "vp9-444_odd_opus-6_webm-unknown_late-picture_whole",
  "av1-aom_plain_opus-2_webm-unknown_t0_pieces",
  "av1-10bit_vfr_opus-2_mp4-frag-key_t0_whole",
  "av1-svt_rot270_aac-2-48k_mp4-frag-key_t0_pieces",
  "av1-rav1e_odd_mp3-2-44k_mkv-groups_t0_whole",
  "none_plain_opus-2_webm-unknown_t1h_pause",
  "none_plain_aac-6-48k_mp4-frag-delay_t0_twice",
];

let results: ReadonlyMap<string, CaseResult>;

beforeAll(async () => {
  if (!CAN_MAKE_SOURCES) return;
  await using directory = await temporaryDirectory();
  await using server = await startServer({ env: { LOG_LEVEL: "warn" } });
  const made = await runAll(CHOSEN.map(caseNamed), {
    serverUrl: server.url,
    directory: directory.path,
    hasExports: false,
  });
  results = new Map(made.map((result) => [result.name, result]));
}, 600_000);

testWithSources.each(CHOSEN)("%s", (name) => {
  const result = results.get(name);
  const expected: Outcome = name.endsWith("_lost") ? "degraded" : "right";
  const { outcome, findings, reason } = result ?? {};
  expect({ outcome, findings, reason }).toEqual({
    outcome: expected,
    findings: [],
    reason: expected === "right" ? null : expect.stringContaining("lacks chunks 3"),
  });
});
