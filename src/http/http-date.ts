const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** `Sun, 06 Nov 1994 08:49:37 GMT`, which is the only form that may be sent today. */
const IMF_FIXDATE = /^\w{3}, (\d{2}) (\w{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
/** `Sunday, 06-Nov-94 08:49:37 GMT` */
const RFC850_DATE = /^\w{6,9}, (\d{2})-(\w{3})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
/** `Sun Nov  6 08:49:37 1994` */
const ASCTIME_DATE = /^\w{3} (\w{3}) ([\d ]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/;

/**
 * Reads a date in a header, in any of the three forms of RFC 9110, 5.6.7. Gives whole seconds since the
 * epoch; undefined for anything else, which a recipient ignores. `Date.parse` would take an asctime date
 * for local time, and `1` for a year.
 *
 * @param nowMs decides the century of a year in two digits: not more than 50 years ahead
 */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const modern = IMF_FIXDATE.exec(text);
  if (modern !== null) {
    const [, day, month, year, ...time] = modern;
    return secondsOf(Number(year), month, day, time);
  }
  const asctime = ASCTIME_DATE.exec(text);
  if (asctime !== null) {
    const [, month, day, hour, minute, second, year] = asctime;
    return secondsOf(Number(year), month, day, [hour, minute, second]);
  }
  const old = RFC850_DATE.exec(text);
  if (old === null) return undefined;
  const [, day, month, shortYear, ...time] = old;
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(shortYear);
  return secondsOf(year > thisYear + 50 ? year - 100 : year, month, day, time);
}

function secondsOf(
  year: number,
  month: string | undefined,
  day: string | undefined,
  time: readonly (string | undefined)[],
): number | undefined {
  const monthIndex = MONTHS.indexOf(month ?? "");
  const [hour = NaN, minute = NaN, second = NaN] = time.map(Number);
  if (monthIndex < 0 || hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(Date.UTC(year, monthIndex, Number(day)));
  // 31 February would be a day of March.
  if (date.getUTCMonth() !== monthIndex) return undefined;
  return date.getTime() / 1_000 + hour * 3_600 + minute * 60 + second;
}
