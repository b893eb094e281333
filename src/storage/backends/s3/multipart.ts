/**
 * Uploads in parts. Nothing is visible before the completing request, which carries the condition; whatever fails before is
 * undone. An upload that cannot be undone, because the store is gone or the process was killed, stays as invisible parts: a
 * lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes them.
 *
 * Parts are tried again one by one: a large object must not begin anew because one connection was reset.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  type CompletedPart,
  type CreateMultipartUploadCommandInput,
  type S3Client,
} from "@aws-sdk/client-s3";
import type { BackendSource } from "../../backend.ts";
import type { Attempts } from "../../remote/attempts.ts";
import { MIN_BYTES_PER_SECOND } from "../../remote/remote-store.ts";
import { uploadParts, type PartSizes } from "./parts.ts";
import { statusOf, withoutEffect, type Request, type S3Errors } from "./s3-errors.ts";
import type { S3Plan } from "./s3-plan.ts";

const MAX_REMOVALS = 4;

export interface Upload {
  readonly request: Request;
  readonly creation: CreateMultipartUploadCommandInput & { readonly Bucket: string };
  readonly conditions: { readonly IfNoneMatch?: string; readonly IfMatch?: string };
  readonly sizes: PartSizes;
  readonly signal: AbortSignal;
}

/** An upload that was begun. */
interface Begun extends Upload {
  readonly place: { readonly Bucket: string; readonly Key: string; readonly UploadId: string };
}

export class MultipartUploads {
  readonly #plan: S3Plan;
  readonly #client: S3Client;
  readonly #errors: S3Errors;
  readonly #attempts: Attempts;
  readonly #removing: Attempts;
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: {
    readonly plan: S3Plan;
    readonly client: S3Client;
    readonly errors: S3Errors;
    readonly attempts: Attempts;
    readonly removing: Attempts;
  }) {
    this.#plan = options.plan;
    this.#client = options.client;
    this.#errors = options.errors;
    this.#attempts = options.attempts;
    this.#removing = options.removing;
  }

  /** Stores the source's content; returns its ETag. */
  async put(source: BackendSource, upload: Upload): Promise<string | undefined> {
    const putting = this.#put(source, upload);
    const settled = Promise.allSettled([putting]);
    this.#running.add(settled);
    try {
      return await putting;
    } finally {
      this.#running.delete(settled);
    }
  }

  /** Waits until nothing is uploaded or removed any more, also by those whose callers did not wait. */
  async close(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #put(source: BackendSource, upload: Upload): Promise<string | undefined> {
    const begun = await this.#begin(upload);
    const { sizes, signal } = upload;
    try {
      const parts = await uploadParts(source, { ...sizes, signal }, (number, bytes, stop) =>
        this.#uploadPart(begun, { number, bytes, stop }),
      );
      return await this.#complete(begun, parts);
    } catch (error) {
      // That removing fails is less than why it has to be; what stays is invisible.
      await this.#remove(begun).catch(() => {});
      throw error;
    }
  }

  async #begin(upload: Upload): Promise<Begun> {
    const { creation, request, signal } = upload;
    try {
      const command = new CreateMultipartUploadCommand(creation);
      const answer = await this.#client.send(command, { abortSignal: signal });
      this.#errors.requireEncrypted(answer, request);
      const { UploadId } = answer;
      if (UploadId === undefined) throw this.#errors.malformed("the upload has no id", request);
      const { Bucket, Key = "" } = creation;
      return { ...upload, place: { Bucket, Key, UploadId } };
    } catch (error) {
      signal.throwIfAborted();
      throw withoutEffect(this.#errors.translate(error, { ...request, condition: undefined }));
    }
  }

  #uploadPart(
    { place, request }: Begun,
    part: { readonly number: number; readonly bytes: Uint8Array; readonly stop: AbortSignal },
  ): Promise<CompletedPart> {
    const { number: PartNumber, bytes, stop } = part;
    return this.#attempts.run("put object", stop, async (watchdog) => {
      watchdog.allow(this.#attempts.idleMs + (bytes.length / MIN_BYTES_PER_SECOND) * 1000);
      const command = new UploadPartCommand({
        ...place,
        ...this.#plan.encryption.content,
        PartNumber,
        Body: bytes,
        ContentLength: bytes.length,
      });
      try {
        const { signal: abortSignal } = watchdog;
        const { ETag, ChecksumCRC32 } = await this.#client.send(command, { abortSignal });
        if (ETag === undefined) throw this.#errors.malformed("a part has no ETag", request);
        return { PartNumber, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) };
      } catch (error) {
        watchdog.signal.throwIfAborted();
        throw withoutEffect(this.#errors.translate(error, { ...request, condition: undefined }));
      }
    });
  }

  async #complete(begun: Begun, Parts: CompletedPart[]): Promise<string | undefined> {
    const { place, conditions, request, signal } = begun;
    const command = new CompleteMultipartUploadCommand({
      ...place,
      ...conditions,
      ...this.#plan.encryption.content,
      MultipartUpload: { Parts },
    });
    try {
      return (await this.#client.send(command, { abortSignal: signal })).ETag;
    } catch (error) {
      signal.throwIfAborted();
      throw this.#errors.translate(error, request);
    }
  }

  /** Until the store knows nothing of it: a part that was on its way when it was given up may yet arrive after a removal. */
  async #remove({ place }: Begun): Promise<void> {
    // Also when the upload was aborted.
    const { signal } = new AbortController();
    for (let count = 0; count < MAX_REMOVALS; count += 1) {
      try {
        await this.#removing.run("put object", signal, (watchdog) => {
          const command = new AbortMultipartUploadCommand(place);
          return this.#client.send(command, { abortSignal: watchdog.signal });
        });
      } catch (error) {
        if (statusOf(error) === 404) return;
        if (statusOf(error) === undefined) throw error;
      }
    }
  }
}
