/** S3 on two real servers that differ: VersityGW and MinIO. */
import { freshPlace } from "../../../testing/fresh-place.ts";
import { absence, present, service } from "../../../testing/services.ts";
import { storageConformance } from "../../conformance/suite.ts";
import { openOn } from "./s3-service.ts";

for (const name of ["s3", "minio"] as const) {
  const found = await service(name);
  const open = async (prefix: string) => openOn(present(found), prefix);
  storageConformance(name, async () => freshPlace(open), {
    // A UUID and a slash stand before each key.
    maxKeyBytes: 1_024 - 42,
    unavailable: absence(found),
  });
}
