/** The container as the official library has it: every request once, and signed as the credentials want it. */
import { ContainerClient, StorageSharedKeyCredential, newPipeline } from "@azure/storage-blob";
import type { StoragePipelineOptions } from "@azure/storage-blob";
import type { AzureAccess } from "./azure-settings.ts";

/** One try without a deadline: the caller has both. */
const PIPELINE: StoragePipelineOptions = { retryOptions: { maxTries: 1 } };

/** Asks nobody. The default chain is loaded only here, and only when it is wanted. */
export async function azureContainer(
  { endpoint, credentials }: AzureAccess,
  container: string,
): Promise<ContainerClient> {
  const url = `${endpoint}/${encodeURIComponent(container)}`;
  if (credentials.kind === "sas")
    return new ContainerClient(`${url}?${credentials.token}`, newPipeline(undefined, PIPELINE));
  if (credentials.kind === "key") {
    const key = new StorageSharedKeyCredential(credentials.accountName, credentials.accountKey);
    return new ContainerClient(url, newPipeline(key, PIPELINE));
  }
  const { DefaultAzureCredential } = await import("@azure/identity");
  return new ContainerClient(url, newPipeline(new DefaultAzureCredential(), PIPELINE));
}
