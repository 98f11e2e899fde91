/** A frame of picture or sound on its way out of the decoder, as ffmpeg's own filters log it. */
export interface LoggedFrame {
  readonly timeMs: number;
  /** Of a sound frame; 0 for a picture. */
  readonly samples: number;
}

/**
 * Reads the log of `showinfo` or `ashowinfo`. The printed seconds have six digits, which is too
 * coarse for hours: times are taken from the count in the filter's time base, which is told again
 * whenever pictures change their size.
 *
 * @param samplesPerSecond of a sound frame's time base, which is not told
 */
export function loggedFrames(log: string, samplesPerSecond = 0): LoggedFrame[] {
  let tickMs = samplesPerSecond > 0 ? 1000 / samplesPerSecond : Number.NaN;
  const frames: LoggedFrame[] = [];
  const pattern =
    /config in time_base: (?<num>\d+)\/(?<den>\d+)|\bn: *\d+ pts: *(?<pts>-?\d+|NOPTS) (?:.*? nb_samples:(?<samples>\d+))?/g;
  for (const { groups } of log.matchAll(pattern)) {
    const { num, den, pts, samples } = groups ?? {};
    if (num !== undefined) {
      if (samplesPerSecond === 0) tickMs = (Number(num) / Number(den)) * 1000;
    } else {
      const timeMs = Number(pts) * tickMs;
      if (Number.isNaN(timeMs)) throw new Error(`A frame has no time: pts ${pts}`);
      frames.push({ timeMs, samples: Number(samples ?? 0) });
    }
  }
  return frames;
}
