/**
 * A text as the value of an option in a filter graph. ffmpeg reads it twice, as a graph and then as a
 * filter's options, and each time a backslash takes away what the next character means (ffmpeg-utils,
 * "Quoting and escaping"; ffmpeg-filters, "Notes on filtergraph escaping").
 */
export function filterValue(text: string): string {
  const asOption = text.replace(/[\\':]/g, "\\$&");
  return asOption.replace(/[\\'[\],;]/g, "\\$&");
}
