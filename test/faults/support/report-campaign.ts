/** Prints what a campaign did, in one line on stderr: the run itself is the proof. */
export function reportCampaign(line: string): void {
  process.stderr.write(`${line}\n`);
}
