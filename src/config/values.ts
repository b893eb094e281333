/** The values that configuration files hold: each says what is wrong in words that name the remedy. */
import { z } from "zod";
import { parseDuration } from "../base/duration.ts";
import { parseSize } from "../base/size.ts";

export interface Bound {
  readonly min: "zero" | "above-zero";
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

/** A duration in Go's form, in milliseconds. */
export function duration(bound: Bound): z.ZodType<number> {
  return z.unknown().transform((value, context) => {
    const wrong = (message: string): never => {
      context.issues.push({ code: "custom", message, input: value });
      return z.NEVER;
    };
    if (typeof value === "number" && value !== 0) {
      return wrong(
        `a duration needs a unit: write "${value}s" for seconds or "${value}ms" for milliseconds (got ${value})`,
      );
    }
    const ms = parseDuration(String(value));
    if (ms === undefined)
      return wrong(`wanted a duration such as "1s", "250ms" or "1h30m" (got ${shown(value)})`);
    if (ms < 0) return wrong(`must not be negative (got ${shown(value)})`);
    if (ms === 0 && bound.min === "above-zero")
      return wrong(`must be greater than zero (got ${shown(value)})`);
    return ms;
  });
}

/** A whole number. */
export function count(bound: Bound): z.ZodType<number> {
  const least = bound.min === "zero" ? 0 : 1;
  return z.unknown().transform((value, context) => {
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
    const message = `wanted a whole number of at least ${least} (got ${shown(value)})`;
    context.issues.push({ code: "custom", message, input: value });
    return z.NEVER;
  });
}

/** A whole number, also below zero. */
export function integer(): z.ZodType<number> {
  return z.int("wanted a whole number");
}

/** A size such as `5MB`, in bytes. */
export function size(): z.ZodType<number> {
  return z.unknown().transform((value, context) => {
    const bytes = parseSize(String(value));
    if (bytes !== undefined) return bytes;
    const message = `wanted a size such as "5MB" or "8MiB" (got ${shown(value)})`;
    context.issues.push({ code: "custom", message, input: value });
    return z.NEVER;
  });
}

export function text(): z.ZodType<string> {
  return z.unknown().transform((value, context) => {
    if (typeof value === "string" && value.trim() !== "") return value;
    const message = `wanted text that is not empty (got ${shown(value)})`;
    context.issues.push({ code: "custom", message, input: value });
    return z.NEVER;
  });
}

export function flag(): z.ZodType<boolean> {
  return z.unknown().transform((value, context) => {
    if (typeof value === "boolean") return value;
    const message = `wanted true or false (got ${shown(value)})`;
    context.issues.push({ code: "custom", message, input: value });
    return z.NEVER;
  });
}

/** One of a few words, in any case; `aliases` are further spellings. */
export function word<Word extends string>(
  words: readonly Word[],
  aliases: Readonly<Record<string, Word>> = {},
): z.ZodType<Word> {
  return z.unknown().transform((value, context) => {
    const wanted = String(value).toLowerCase();
    const found = words.find((candidate) => candidate === wanted) ?? aliases[wanted];
    if (found !== undefined) return found;
    const message = `wanted one of ${words.join(", ")} (got ${shown(value)})`;
    context.issues.push({ code: "custom", message, input: value });
    return z.NEVER;
  });
}
