/** Base64 without a host's help: neither Buffer nor atob exists everywhere the kernel runs. */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Decodes standard, padded base64. The text is our own generated constant and not checked. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const values = new Uint8Array(128);
  for (let i = 0; i < ALPHABET.length; i++) values[ALPHABET.charCodeAt(i)] = i;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let size = 0;
  for (let i = 0; i < text.length; i += 4) {
    let group = 0;
    for (let j = 0; j < 4; j++) group = (group << 6) | (values[text.charCodeAt(i + j)] ?? 0);
    for (let shift = 16; shift >= 0 && size < bytes.length; shift -= 8) {
      bytes[size++] = group >>> shift;
    }
  }
  return bytes;
}
