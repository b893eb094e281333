/**
 * The part of the AssemblyScript compiler's interface that tools/build-kernel.ts calls. The compiler's own
 * declarations bring the globals of its language with them, among them another `console`; tsconfig.json
 * maps the package to this file.
 */
export interface CompilerResult {
  readonly error: Error | null;
  readonly stderr: { toString(): string };
}

export interface CompilerOptions {
  readonly writeFile?: (name: string, contents: Uint8Array | string, baseDir: string) => void;
}

export function main(args: string[], options?: CompilerOptions): Promise<CompilerResult>;
