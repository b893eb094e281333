/**
 * Application Default Credentials: a key file that GOOGLE_APPLICATION_CREDENTIALS names, what `gcloud auth
 * application-default login` left, or the machine's own account on Google Cloud. The official library looks for them, in the
 * environment of the process.
 */
import type { AuthClient } from "google-auth-library";

/** Read, write and delete objects; nothing about buckets. */
const SCOPE = "https://www.googleapis.com/auth/devstorage.read_write";

/** Gives the headers that sign a request in. */
export interface GcsCredentials {
  headers(): Promise<Headers>;
}

/** For emulators. */
export const NO_CREDENTIALS: GcsCredentials = { headers: async () => new Headers() };

/** Credentials are looked for at the first request, and again after a failure. */
export class DefaultCredentials implements GcsCredentials {
  #client: Promise<AuthClient> | undefined;

  /** Tokens are kept until they expire. Throws what the library throws. */
  async headers(): Promise<Headers> {
    this.#client ??= load();
    try {
      return await (await this.#client).getRequestHeaders();
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
  }
}

async function load(): Promise<AuthClient> {
  const { GoogleAuth } = await import("google-auth-library");
  return new GoogleAuth({ scopes: [SCOPE] }).getClient();
}
