import { z } from "zod";

/**
 * Origins as browsers send them in the header `Origin`, separated by commas; spaces around them do not
 * count. Its issues say what is wrong with the first that is none, to follow "must be".
 */
export const allowedOriginsSchema = z.string().transform((text, context) => {
  const origins = text.split(",").map((origin) => origin.trim());
  if (origins.length === 1 && origins[0] === "") return Object.freeze<string[]>([]);
  for (const origin of origins) {
    const fault = faultOf(origin);
    if (fault === undefined) continue;
    context.addIssue({ code: "custom", message: `${ALLOWED}; ${fault}` });
    return z.NEVER;
  }
  return Object.freeze([...new Set(origins)]);
});

const ALLOWED = "origins such as https://app.example or http://10.0.0.7:8080, separated by commas";

/** Why a text is no origin that a browser could send; undefined if it is one. */
function faultOf(text: string): string | undefined {
  const quoted = JSON.stringify(text);
  if (text === "") return "one of them is empty";
  if (text === "*") return "* would let every web site watch and delete recordings";
  if (text === "null") return "null is what pages of any origin can send, from a sandboxed frame";
  if (text.includes("*")) return `${quoted} has a *, but each origin has to be named`;
  if (!/^[a-z][a-z\d+.-]*:\/\/[^/]/i.test(text)) {
    return `${quoted} does not begin with a scheme and a host, like https://app.example`;
  }
  if (!URL.canParse(text)) return `${quoted} is not a URL`;
  const { protocol, host, username, password } = new URL(text);
  if (username !== "" || password !== "") return `${quoted} has a user name or a password`;
  const origin = `${protocol}//${host}`;
  return text === origin
    ? undefined
    : `browsers send ${JSON.stringify(origin)}, without a path or a slash at the end, and not ${quoted}`;
}
