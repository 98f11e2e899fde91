export { type CompositeOptions, compositeOptionsSchema } from "../../contract/exports.ts";
