/** Whether a value is of a type. */
export type Check<T> = (value: unknown) => value is T;

type Fields = Readonly<Record<string, Check<unknown>>>;

/** What an object with these fields is. */
export type ShapeOf<F extends Fields> = {
  readonly [Name in keyof F]: F[Name] extends Check<infer T> ? T : never;
};

export const isText: Check<string> = (value) => typeof value === "string";

export const isFlag: Check<boolean> = (value) => typeof value === "boolean";

/** A finite number. */
export const isNumber: Check<number> = (value): value is number => Number.isFinite(value);

/** A whole number from 0. */
export const isCount: Check<number> = (value): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

/** This or null. */
export function orNull<T>(check: Check<T>): Check<T | null> {
  return (value): value is T | null => value === null || check(value);
}

/** An array of these. */
export function listOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.every(check);
}

/** An instance of a class. */
export function instanceOf<T>(expected: abstract new (...parts: never[]) => T): Check<T> {
  return (value): value is T => value instanceof expected;
}

/** Anything at all, also nothing. */
export const isAnything: Check<unknown> = (_value): _value is unknown => true;

/** Exactly this text. */
export function exactly<const Text extends string>(...texts: readonly Text[]): Check<Text> {
  return (value): value is Text => texts.some((text) => text === value);
}

/**
 * An object whose fields pass; it may have others. For what comes from outside this page's own code,
 * such as a record that another version of this library wrote. The contract's validator would be
 * larger than the library.
 */
export function shape<F extends Fields>(fields: F): Check<ShapeOf<F>> {
  const names = Object.keys(fields);
  return (value): value is ShapeOf<F> =>
    typeof value === "object" &&
    value !== null &&
    names.every((name) => fields[name]?.(Reflect.get(value, name)) === true);
}

/** What passes one of these shapes, each named by its `type`. */
export type OneOf<Shapes> = {
  readonly [Name in keyof Shapes]: Shapes[Name] extends Check<infer Shape>
    ? { readonly type: Name } & Shape
    : never;
};

/** An object that has the shape of its `type`. */
export function oneOf<Shapes extends Readonly<Record<string, Check<unknown>>>>(
  shapes: Shapes,
): Check<OneOf<Shapes>[keyof Shapes]> {
  return (value): value is OneOf<Shapes>[keyof Shapes] => {
    if (typeof value !== "object" || value === null || !("type" in value)) return false;
    const { type } = value;
    return (
      typeof type === "string" && Object.hasOwn(shapes, type) && shapes[type]?.(value) === true
    );
  };
}
