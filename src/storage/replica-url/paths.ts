/** Paths of replica URLs: decoding and cleaning. */
import { invalidUrl } from "./redact.ts";

/** Percent-decodes a part of a URL. */
export function decodePart(url: string, part: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(part);
  } catch {
    throw invalidUrl(
      url,
      "a percent sign is not followed by a valid escape",
      "write %25 for a percent sign",
    );
  }
  if (decoded.includes("\0")) throw invalidUrl(url, "it holds a NUL character");
  return decoded;
}

/** Absolute; without empty, `.` and `..` segments and without a slash at the end. */
export function cleanPath(path: string): string {
  const clean: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment === "..") clean.pop();
    else clean.push(segment);
  }
  return `/${clean.join("/")}`;
}

export function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
